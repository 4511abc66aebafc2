"""Forecasts in physical units: normalise, apply the network again and again, and map back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, cast

import torch
from jaxtyping import Float, Int
from lightning.pytorch.trainer.states import TrainerFn, TrainerStatus
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from fno_lightning.arguments import plain
from fno_lightning.autoregressive import rollout
from fno_lightning.conformal import ConformalBands
from fno_lightning.data import Batch, FieldSpec, Statistics
from fno_lightning.modules.certified_range import CertifiedRange, OffRange
from fno_lightning.modules.compatibility import check_axes, complete_inputs
from fno_lightning.modules.ensemble import EnsembleNetwork, require_several
from fno_lightning.modules.forecast_distribution import ForecastDistribution
from fno_lightning.modules.lazy_network import LazyNetworkModule
from fno_lightning.modules.mc_dropout import require_dropout, same_dropout
from fno_lightning.modules.normalization import LogScalars, Normalization, Normalizer, require_linear_steady
from fno_lightning.modules.patching import MultigridPatching
from fno_lightning.modules.reversible_norm import ReversibleNorm
from fno_lightning.modules.training_grids import TrainingGrids
from fno_lightning.slabs import whole_grid


class Context(NamedTuple):
    """What stays the same during a forecast.

    Attributes:
        channels: Normalised constant fields, and each scalar as a plane, ``(batch, channel, *grid)``.
        constants: The constant fields in physical units, ``(batch, constant, *grid)``.
    """

    channels: Tensor
    constants: Tensor


class FieldForecaster(LazyNetworkModule):
    """The part of a :class:`~fno_lightning.modules.ForecastModule` that forecasts, without its training.

    Args:
        spec: Description of the data set.
        n_steps_input: Number of past frames that a forecast starts from; 0 for a steady problem.
        bundle: Number of frames that one application of the network predicts.
        residual: Predict the change from each frame to the next, not the frames.
        normalization: See :class:`~fno_lightning.modules.Normalizer`.
        log_scalars: Which scalars enter by their logarithm, see :class:`~fno_lightning.modules.Normalizer`.
        reversible_norm: Whether the network sees each sample in units of its own last frame.
        patching: Whether, and into which patches, fields are cut for the network.
        ensemble_size: Number of networks, of which a forecast is the mean; ``None``: one.
        mc_dropout: Number of draws of the dropout, of which a forecast is the mean; ``None``: it is turned off.
        off_range: What a forecast outside the :class:`~fno_lightning.modules.CertifiedRange` does.
        **kwargs: Of Lightning's module.

    Raises:
        ValueError: if the points of the data are not even and the class has ``needs_even_axes``, or irregular and it
            does not have ``takes_points``; if ``n_steps_input`` is negative, or 0 when there is nothing else to predict
            from; if ``bundle`` is not positive, or more than 1 without a history; if ``patching`` does not fit the
            grid; if ``ensemble_size`` or ``mc_dropout`` is less than 2, or an ensemble is to see patches.
    """

    needs_even_axes: ClassVar[bool] = False
    """Whether data are refused whose points are not evenly spaced; otherwise there is a warning."""
    remedy_for_uneven_axes: ClassVar[str] = ""
    """What else than resampling helps then, for the message."""

    takes_points: ClassVar[bool] = False
    """Whether it is for irregular data, points with positions of their own, and not for fields on a grid."""

    def __init__(
        self,
        spec: FieldSpec | dict[str, Any],
        n_steps_input: int,
        *,
        bundle: int,
        residual: bool,
        normalization: Normalization,
        log_scalars: LogScalars,
        reversible_norm: bool,
        patching: MultigridPatching | Mapping[str, Any] | None,
        ensemble_size: int | None,
        mc_dropout: int | None,
        off_range: OffRange,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.spec = spec if isinstance(spec, FieldSpec) else FieldSpec.from_dict(spec)
        check_axes(self.spec, self)
        n_steps_input = plain(n_steps_input, "n_steps_input")
        if n_steps_input < 0:
            raise ValueError(f"n_steps_input counts past frames, so it is at least 0, got {n_steps_input}")
        self.n_steps_input = n_steps_input
        bundle = plain(bundle, "bundle")
        if bundle < 1 or (bundle > 1 and n_steps_input == 0):
            raise ValueError(
                f"bundle counts the frames that the network predicts at once: at least 1, and 1 for a steady problem "
                f"(n_steps_input=0), got bundle={bundle} with n_steps_input={n_steps_input}"
            )
        self.bundle: int = bundle
        self.residual = residual and n_steps_input > 0
        if reversible_norm and n_steps_input == 0:
            raise ValueError("reversible_norm normalises by the last frame of a history, but n_steps_input is 0")
        self.reversible_norm = reversible_norm
        if self._n_channels == 0:
            raise ValueError("n_steps_input is 0 and there are no constant fields and no scalars: no input is left")
        if normalization == "source_norm":
            require_linear_steady(self.spec, n_steps_input)
        self.patching = None if patching is None else self._with_boundaries(patching)
        self.recompute_patches = True
        self.ensemble_size = _several("ensemble_size", ensemble_size)
        self.mc_dropout = _several("mc_dropout", mc_dropout)
        if self.ensemble_size is not None and self.patching is not None:
            raise ValueError(
                "ensemble_size and patching do not go together, for the members would be evaluated patch by patch: "
                "leave one of them out, or train the members one by one"
            )
        self.normalizer = Normalizer(self.spec, normalization, log_scalars=log_scalars)
        self.certified_range = CertifiedRange(self.spec, off_range)
        self.bands: ConformalBands | None = None
        """Calibrated bands of these weights, see :class:`~fno_lightning.callbacks.ConformalCalibration`."""

    @property
    def training_grids(self) -> TrainingGrids:
        """Grids that the module was trained on."""
        return self.certified_range.grids

    @property
    def n_forecasts(self) -> int:
        """Number of forecasts that :meth:`forecast` is the mean of."""
        return (self.ensemble_size or 1) * (self.mc_dropout or 1)

    @property
    def has_uncertainty(self) -> bool:
        """Whether :meth:`forecast_distribution` says more than :meth:`forecast`."""
        return self.n_forecasts > 1 or self.bands is not None

    def suits_axis(self, spec: FieldSpec, axis: int) -> bool:
        """Whether the network is made for the points of an axis that are not even, so that nothing is said of them."""
        return False

    @property
    def in_channels(self) -> int:
        """Number of input channels of the network: past frames, constant fields and scalars.

        With ``reversible_norm`` also the mean and the deviation of each field; with ``patching`` all of them again for
        each coarser surrounding, and the positions.
        """
        n_channels = self._n_channels
        return n_channels if self.patching is None else self.patching.in_channels(n_channels, self.spec.n_dims)

    @property
    def network_grid(self) -> tuple[int, ...]:
        """Grid of the network's input: that of the data, or with ``patching`` of a window."""
        return self.spec.grid_shape if self.patching is None else self.patching.window(self.spec.grid_shape)

    @property
    def network_periodic(self) -> list[bool] | None:
        """Whether each axis of the network's input is periodic; ``None``: the data do not say. Patches are not."""
        if self.patching is not None:
            return [axis.periodic and axis.n_patches == 1 for axis in self.patching.axes(self.spec.grid_shape)]
        return list(self.spec.periodic) if self.spec.boundaries else None

    @property
    def _n_channels(self) -> int:
        """Number of channels of a whole field that the network or the patching is given."""
        spec = self.spec
        n_of_fields = self.n_steps_input + (2 if self.reversible_norm else 0)
        return n_of_fields * len(spec.fields) + len(spec.constant_fields) + len(spec.scalars)

    @property
    def out_channels(self) -> int:
        """Number of output channels of the network: the fields of each frame of a bundle, frame by frame."""
        return self.bundle * len(self.spec.fields)

    def _with_boundaries(self, patching: MultigridPatching | Mapping[str, Any]) -> MultigridPatching:
        if isinstance(patching, Mapping):
            patching = MultigridPatching(**patching)
        patching.axes(self.spec.grid_shape)  # complains if they do not fit
        if patching.periodic is None and self.spec.boundaries:
            patching = replace(patching, periodic=list(self.spec.periodic))
        return patching

    def fit_normalization(self, statistics: Statistics) -> None:
        """Take over the statistics of a train split; a Trainer with a datamodule does it, once."""
        self.normalizer.fit(statistics)
        varies = self.normalizer.field_varies.tolist()
        if still := [name for name, does in zip(self.spec.fields, varies, strict=True) if not does]:
            rank_zero_info(
                f"the fields {still} do not vary in the train split: they are predicted as their mean, and means over "
                "the fields leave them out"
            )

    def make_network(self) -> nn.Module:
        """Build the network, or the networks of an ensemble, each with initial weights of its own."""
        if self.ensemble_size is None:
            return self.build_network()
        return EnsembleNetwork([self.build_network() for _ in range(self.ensemble_size)])

    def forward(
        self,
        history: Float[Tensor, "batch T_in field *grid"] | None = None,
        constants: Float[Tensor, "batch constant *grid"] | None = None,
        scalars: Float[Tensor, "batch scalar"] | None = None,
        n_steps: int = 1,
        *,
        member: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "batch T_out field *grid"]:
        """Predict the frames that follow a history, in physical units and the precision that they are given in.

        Of an ensemble it is the mean. Outside the range that the module was trained and calibrated on it warns, once,
        or is refused; see :class:`~fno_lightning.modules.CertifiedRange`.

        Args:
            history: Past frames, oldest first; ``None`` for a steady problem.
            constants: Fields without time dependence; ``None``: the data have none.
            scalars: Parameters of the trajectories; ``None``: the data have none.
            n_steps: Number of frames to predict.
            member: Number of the data set that each sample is from; for a module of a mixture only.

        Raises:
            ValueError: if the data have a part that is missing, or with another number of channels; if a scalar that
                enters by its logarithm is not positive; if it is outside the range and ``off_range`` is ``refuse``.
        """
        return self._distribution(history, constants, scalars, n_steps, member).mean

    @torch.no_grad()
    def forecast(
        self,
        history: Float[Tensor, "batch T_in field *grid"] | Batch | None = None,
        constants: Float[Tensor, "batch constant *grid"] | None = None,
        scalars: Float[Tensor, "batch scalar"] | None = None,
        n_steps: int | None = None,
        *,
        member: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "batch T_out field *grid"]:
        """Predict as :meth:`forward`, in evaluation mode and without gradients, from tensors or from a batch.

        Args:
            history: Past frames; or a whole :class:`~fno_lightning.data.Batch`, as in ``forecast(batch, n_steps=20)``.
            constants: Fields without time dependence.
            scalars: Parameters of the trajectories.
            n_steps: Number of frames to predict; ``None``: as many as the target of the batch has, or one.
            member: Number of the data set that each sample is from.
        """
        with self._evaluating():
            return cast("Tensor", self(*_inputs(history, constants, scalars, n_steps), member=_member(history, member)))

    @torch.no_grad()
    def forecast_distribution(
        self,
        history: Float[Tensor, "batch T_in field *grid"] | Batch | None = None,
        constants: Float[Tensor, "batch constant *grid"] | None = None,
        scalars: Float[Tensor, "batch scalar"] | None = None,
        n_steps: int | None = None,
        *,
        member: Int[Tensor, " batch"] | None = None,
    ) -> ForecastDistribution:
        """Predict as :meth:`forecast`, with the forecasts of the members of an ensemble and with calibrated bands.

        Args:
            history: Past frames; or a whole :class:`~fno_lightning.data.Batch`.
            constants: Fields without time dependence.
            scalars: Parameters of the trajectories.
            n_steps: Number of frames to predict; ``None``: as many as the target of the batch has, or one.
            member: Number of the data set that each sample is from.
        """
        inputs, member = _inputs(history, constants, scalars, n_steps), _member(history, member)
        with self._evaluating():
            found = self._distribution(*inputs, member)
        if self.bands is None:
            return found
        return found._replace(half_width=self.bands.half_width(self.error_scale(found, member)))

    def _distribution(
        self,
        history: Tensor | None,
        constants: Tensor | None,
        scalars: Tensor | None,
        n_steps: int,
        member: Tensor | None,
    ) -> ForecastDistribution:
        """Check and complete the inputs, and return their forecast without a band."""
        self.configure_model()
        inputs = complete_inputs(self.spec, self.n_steps_input, history, constants, scalars)
        self.normalizer.require_positive(inputs[2])
        self._check_range(*inputs, n_steps)
        return self._predict(*inputs, n_steps, member)

    def _predict(
        self, history: Tensor, constants: Tensor, scalars: Tensor, n_steps: int, member: Tensor | None
    ) -> ForecastDistribution:
        """Return the forecast of complete inputs, and those of the members where there are several."""
        n, dtype = self.n_forecasts, history.dtype
        members = None if member is None else repeated(member, n)
        history, constants, scalars = (repeated(part, n) for part in (history, constants, scalars))
        draws = self.mc_dropout is not None
        frames = self._advance(history, constants, scalars, members, n_steps, draws=draws)
        frames = self.normalizer.decode(frames, members, dtype)
        if n == 1:
            return ForecastDistribution(frames)
        ensemble = torch.unflatten(frames, 0, (n, -1))
        return ForecastDistribution(ensemble.mean(dim=0), ensemble)

    def error_scale(
        self, forecast: ForecastDistribution, member: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch T_out field *grid"]:
        """Return the scale of the error of a forecast, positive, which calibrated bands are multiples of.

        It is what the network predicts, or the spread of an ensemble, and a thousandth of the field's standard
        deviation over the train split, so that a point where all members agree has a band; of one network that
        deviation.

        Args:
            forecast: The forecast.
            member: Number of the data set that each sample is from.
        """
        unit = self.normalizer.in_physical_units(torch.ones_like(forecast.mean), member)
        found = forecast.spread if forecast.scale is None else forecast.scale
        return unit if found is None else found + 1e-3 * unit

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        training = self.training
        self.eval()
        try:
            yield
        finally:
            self.train(training)

    def _check_range(self, history: Tensor, constants: Tensor, scalars: Tensor, n_steps: int) -> None:
        """Warn of a forecast outside the range, or refuse it; in an evaluation, which measures the error, its grid."""
        state = None if self._trainer is None else self._trainer.state
        if state is not None and state.status is TrainerStatus.RUNNING and state.fn is not TrainerFn.PREDICTING:
            self.certified_range.check_grid(whole_grid(constants.shape[2:]))
        else:
            self.certified_range.check(history, constants, scalars, n_steps)

    @property
    def _precision(self) -> torch.dtype:
        """Precision of the weights, and of what the network sees; ``self.dtype`` misses a network's own casts."""
        floating = (weight.dtype for weight in self.network.parameters() if weight.dtype.is_floating_point)
        return next(floating, torch.get_default_dtype())

    def _advance(
        self,
        history: Tensor,
        constants: Tensor,
        scalars: Tensor,
        member: Tensor | None,
        n_steps: int,
        n_without_gradient: int = 0,
        noise: float = 0.0,
        *,
        draws: bool = False,
    ) -> Tensor:
        """Predict normalised frames, in the precision of the weights, from a history in physical units.

        With ``draws`` dropout stays on in evaluation, with the same masks at every step.
        """
        history = self.normalizer.encode(history, member).to(self._precision)
        if noise > 0:
            history = history + self.normalizer.as_frames(noise * torch.randn_like(history), member)
        context = self._context(constants, scalars, member)
        if draws:
            require_dropout(self.network)

        def step(frames: Tensor) -> Tensor:
            with same_dropout(self.network, frames.device) if draws else nullcontext():
                return self._next_frames(frames, context, member)

        return rollout(
            step,
            history,
            n_steps,
            n_without_gradient=n_without_gradient,
        )

    def _next_frames(self, frames: Tensor, context: Context, member: Tensor | None) -> Tensor:
        """Apply the network once, to normalised frames ``(batch, T_in, field, *grid)``, for those of a bundle."""
        norm = ReversibleNorm.of(frames) if self.reversible_norm else None
        output = self._output(frames, context, norm)
        if norm is not None:
            if self.residual:
                return frames[:, -1:] + self.normalizer.as_frames(norm.deviation * output.cumsum(dim=1), member)
            return self.normalizer.as_frames(norm.decode(output), member)
        if self.residual:
            return frames[:, -1:] + self.normalizer.as_changes(output, member).cumsum(dim=1)
        return self.normalizer.as_frames(output, member)

    def _context(self, constants: Tensor, scalars: Tensor, member: Tensor | None) -> Context:
        return Context(self.normalizer.context(constants, scalars, member, self._precision), constants)

    def _output(self, frames: Tensor, context: Context, norm: ReversibleNorm | None) -> Tensor:
        """Apply the network to the frames of a history and what stays the same; return those of a bundle."""
        if norm is None:
            x = torch.cat((frames.flatten(1, 2), context.channels), dim=1)
        else:
            x = torch.cat((norm.encode(frames).flatten(1, 2), norm.planes(frames), context.channels), dim=1)
        output = self._apply_network(x, context)
        self._require_shape(output, (len(x), self.out_channels, *x.shape[2:]))
        return torch.unflatten(output, 1, (self.bundle, -1))

    def _apply_network(self, x: Tensor, context: Context) -> Tensor:
        """Apply the network to all of its channels, patch by patch if there are patches."""
        output: Tensor = (
            self.network(x)
            if self.patching is None
            else self.patching(self.network, x, recompute=self.recompute_patches)
        )
        return output

    def _require_shape(self, output: object, shape: tuple[int, ...]) -> None:
        """Check the output of the network: fewer channels would be repeated where it is decoded.

        Raises:
            ValueError: if it is no tensor, or has another shape.
        """
        if isinstance(output, Tensor) and output.shape == shape:
            return
        shown = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"type {type(output).__name__}"
        raise ValueError(
            f"the output of the network {type(self.network).__name__} has the {shown}, expected {shape}: one tensor "
            f"(batch, fields of each of {self.bundle} frames, *grid)"
        )


def _several(name: str, count: int | None) -> int | None:
    return None if count is None else require_several(name, plain(count, name))


def _inputs(
    history: Tensor | Batch | None, constants: Tensor | None, scalars: Tensor | None, n_steps: int | None
) -> tuple[Tensor | None, Tensor | None, Tensor | None, int]:
    """Return history, constants, scalars and number of steps, of a batch if it is given in the place of a history."""
    if isinstance(history, Batch):
        return history.history, history.constants, history.scalars, n_steps or history.target.shape[1]
    return history, constants, scalars, n_steps or 1


def _member(history: Tensor | Batch | None, member: Tensor | None) -> Tensor | None:
    return history.member if isinstance(history, Batch) else member


def repeated(part: Tensor, n: int) -> Tensor:
    """Return the samples n times, all of them before they come again."""
    return part if n == 1 else part.expand(n, *part.shape).flatten(0, 1)
