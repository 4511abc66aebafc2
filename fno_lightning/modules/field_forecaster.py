"""Forecasts in physical units: normalise, apply the network again and again, and map back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, cast

import torch
from jaxtyping import Float, Int
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from fno_lightning.arguments import plain
from fno_lightning.autoregressive import rollout
from fno_lightning.data import Batch, FieldSpec, Statistics
from fno_lightning.modules.compatibility import check_axes, complete_inputs
from fno_lightning.modules.lazy_network import LazyNetworkModule
from fno_lightning.modules.normalization import LogScalars, Normalization, Normalizer, require_linear_steady
from fno_lightning.modules.patching import MultigridPatching
from fno_lightning.modules.reversible_norm import ReversibleNorm
from fno_lightning.modules.training_grids import TrainingGrids


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
        **kwargs: Of Lightning's module.

    Raises:
        ValueError: if the points of the data are not even and the class has ``needs_even_axes``, or irregular and it
            does not have ``takes_points``; if ``n_steps_input`` is negative, or 0 when there is nothing else to predict
            from; if ``bundle`` is not positive, or more than 1 without a history; if ``patching`` does not fit the
            grid.
    """

    needs_even_axes: ClassVar[bool] = False
    """Whether data are refused whose points are not evenly spaced; otherwise there is a warning."""

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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.spec = spec if isinstance(spec, FieldSpec) else FieldSpec.from_dict(spec)
        check_axes(self.spec, type(self))
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
        self.normalizer = Normalizer(self.spec, normalization, log_scalars=log_scalars)
        self.training_grids = TrainingGrids(any_size=self.spec.is_irregular)

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

        A grid that the network was not trained on gives a warning, once.

        Args:
            history: Past frames, oldest first; ``None`` for a steady problem.
            constants: Fields without time dependence; ``None``: the data have none.
            scalars: Parameters of the trajectories; ``None``: the data have none.
            n_steps: Number of frames to predict.
            member: Number of the data set that each sample is from; for a module of a mixture only.

        Raises:
            ValueError: if the data have a part that is missing, or with another number of channels; if a scalar that
                enters by its logarithm is not positive.
        """
        self.configure_model()
        inputs = complete_inputs(self.spec, self.n_steps_input, history, constants, scalars)
        self.normalizer.require_positive(inputs[2])
        self.training_grids.check(inputs[1].shape[2:])
        return self.normalizer.decode(self._advance(*inputs, member, n_steps), member, inputs[0].dtype)

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
        if isinstance(history, Batch):
            n_steps = n_steps or history.target.shape[1]
            history, constants, scalars, _, member = history
        training = self.training
        self.eval()
        try:
            return cast("Tensor", self(history, constants, scalars, n_steps or 1, member=member))
        finally:
            self.train(training)

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
    ) -> Tensor:
        """Predict normalised frames, in the precision of the weights, from a history in physical units."""
        history = self.normalizer.encode(history, member).to(self._precision)
        if noise > 0:
            history = history + self.normalizer.as_frames(noise * torch.randn_like(history), member)
        context = Context(self.normalizer.context(constants, scalars, member, self._precision), constants)
        return rollout(
            lambda frames: self._next_frames(frames, context, member),
            history,
            n_steps,
            n_without_gradient=n_without_gradient,
        )

    def _next_frames(self, frames: Tensor, context: Context, member: Tensor | None) -> Tensor:
        """Apply the network once, to normalised frames ``(batch, T_in, field, *grid)``, for those of a bundle."""
        if self.reversible_norm:
            norm = ReversibleNorm.of(frames)
            output = self._output(norm.encode(frames), context, norm.planes(frames))
            if self.residual:
                return frames[:, -1:] + self.normalizer.as_frames(norm.deviation * output.cumsum(dim=1), member)
            return self.normalizer.as_frames(norm.decode(output), member)
        output = self._output(frames, context)
        if self.residual:
            return frames[:, -1:] + self.normalizer.as_changes(output, member).cumsum(dim=1)
        return self.normalizer.as_frames(output, member)

    def _output(self, frames: Tensor, context: Context, *planes: Tensor) -> Tensor:
        """Apply the network to the frames of a history and what stays the same; return those of a bundle."""
        x = torch.cat((frames.flatten(1, 2), *planes, context.channels), dim=1)
        return torch.unflatten(self._apply_network(x, context), 1, (self.bundle, -1))

    def _apply_network(self, x: Tensor, context: Context) -> Tensor:
        """Apply the network to all of its channels, patch by patch if there are patches."""
        output: Tensor = (
            self.network(x)
            if self.patching is None
            else self.patching(self.network, x, recompute=self.recompute_patches)
        )
        return output
