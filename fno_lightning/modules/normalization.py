"""Normalisation that travels inside the checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fno_lightning.arguments import plain, require_list
from fno_lightning.data import FieldSpec, Statistics
from fno_lightning.devices import PreciseBuffers
from fno_lightning.weighted_means import weighted_mean


class ZScore(PreciseBuffers):
    r"""Map physical units to zero mean and unit variance, channel by channel, and back.

    .. math:: \hat u_c = (u_c - \mu_c) / \sigma_c

    The statistics are float64 buffers, so they are saved with the weights. They act in the precision of the fields,
    float32 at least. Until :meth:`fit` is called the map is the identity. A channel that does not vary (σ is no more
    than rounding of μ) is measured in multiples of \|μ\|, or in its own unit where μ is 0.

    Args:
        n_channels: Number of channels.
        n_members: Number of data sets with statistics of their own; 0: there is one set of statistics for all samples.
    """

    mean: Tensor
    std: Tensor
    varies: Tensor
    """1 for a channel that varies in the train split, 0 for one that does not."""

    def __init__(self, n_channels: int, n_members: int = 0) -> None:
        super().__init__()
        shape = (n_members, n_channels) if n_members else (n_channels,)
        self.register_buffer("mean", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("std", torch.ones(shape, dtype=torch.float64))
        self.register_buffer("varies", torch.ones(shape, dtype=torch.float64))  # bool cannot be averaged as weights are

    def fit(self, mean: Float[Tensor, "*member channel"], std: Float[Tensor, "*member channel"]) -> None:
        """Take over the statistics of the train split."""
        size = mean.abs()
        varies = std > torch.finfo(std.dtype).eps * size
        self.mean.copy_(mean)
        self.std.copy_(torch.where(varies, std, torch.where(size > 0, size, torch.ones_like(size))))
        self.varies.copy_(varies)

    def encode(
        self, fields: Float[Tensor, ...], n_dims: int, member: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, ...]:
        """Normalise ``(..., channel, *grid)`` with ``n_dims`` grid axes, in the precision of the fields.

        Args:
            fields: Fields to normalise; with ``member``, the first axis is that of the samples.
            n_dims: Number of grid axes.
            member: Number of the data set of each sample, if the data sets have statistics of their own.
        """
        mean, std = (over_grid(statistic, fields, n_dims, member) for statistic in (self.mean, self.std))
        return (fields - mean) / std

    def decode(
        self, fields: Float[Tensor, ...], n_dims: int, member: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, ...]:
        """Invert :meth:`encode`."""
        mean, std = (over_grid(statistic, fields, n_dims, member) for statistic in (self.mean, self.std))
        return fields * std + mean

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if f"{prefix}mean" in state_dict:  # up to 0.2 every channel counted as one that varies
            state_dict.setdefault(f"{prefix}varies", torch.ones_like(state_dict[f"{prefix}mean"]))
        super()._load_from_state_dict(state_dict, prefix, *args)


def over_grid(statistic: Tensor, fields: Tensor, n_dims: int, member: Tensor | None) -> Tensor:
    """Shape a statistic of each channel, or of each member and channel, to act on fields, in their precision."""
    grid = (1,) * n_dims
    statistic = statistic.to(torch.promote_types(fields.dtype, torch.float32))
    if member is None:
        return statistic.view(-1, *grid)
    between = (1,) * (fields.ndim - n_dims - 2)
    return statistic[member].view(len(fields), *between, -1, *grid)


Normalization: TypeAlias = Literal["zscore", "source_norm"]

LogScalars: TypeAlias = bool | Sequence[str]

SMALLEST_SPAN = 10.0
"""Smallest ratio of largest to smallest value for which a scalar enters by its logarithm unasked."""

SOURCE = "source"
"""Name of the constant field that ``source_norm`` takes the norm of."""


def require_linear_steady(spec: FieldSpec, n_steps_input: int) -> None:
    """Check that data have the parts that ``source_norm`` needs; linearity cannot be checked.

    Raises:
        ValueError: if there is a history, or the constant fields are others than a source.
    """
    if n_steps_input > 0 or spec.constant_fields != (SOURCE,):
        raise ValueError(
            f"normalization=source_norm is for linear steady equations with the constant field '{SOURCE}' alone, but "
            f"the data {spec.dataset_name!r} have the constant fields {list(spec.constant_fields)} and "
            f"n_steps_input={n_steps_input}: use zscore"
        )


def _checked(log_scalars: LogScalars, spec: FieldSpec, kind: Normalization) -> LogScalars:
    """Return the choice of scalars, if the data have them and the normalisation can use it."""
    if isinstance(log_scalars, bool):
        return log_scalars and kind == "zscore"
    require_list(log_scalars=log_scalars)
    names = tuple(plain(log_scalars, "log_scalars"))
    if unknown := [name for name in names if name not in spec.scalars]:
        raise ValueError(f"log_scalars names {unknown}, but the scalars of the data are {list(spec.scalars)}")
    if names and kind != "zscore":
        raise ValueError(f"log_scalars is {list(names)}, but with normalization={kind} scalars enter as they are")
    return names


class Normalizer(PreciseBuffers):
    r"""Normalise histories, constant fields and scalars by the statistics of a train split, inside the checkpoint.

    ``zscore``: every channel is shifted and scaled by its own mean and standard deviation (:class:`ZScore`).

    ``source_norm``: for steady equations that are linear in the solution and homogeneous in source and coefficients,
    as :math:`L_K u = f` with :math:`L_{cK} = c\, L_K`. Then (f, K) and (c f, c K) have the same solution u for every
    c > 0, so each sample's source and coefficients are first divided by

    .. math:: s = \frac{\lVert f \rVert_2}{\sqrt{\langle f^2 \rangle_{train}}}

    (root mean squares over the grid), which maps all pairs with one solution to one input; z-scores follow. Every
    constant field and every scalar is divided, so the equation must be homogeneous in all of them together. The
    division of Subramanian et al., NeurIPS 2023, arXiv:2306.00258, whose reference is a median of norms.

    A mixture of data sets (``spec.members``) has statistics of its own for the fields of each member; scalars, which
    are aligned by name, share theirs, so that the absence of a coefficient looks the same for all.

    With ``zscore``, scalars that are positive and span a decade or more in the train split enter by their logarithm: a
    cooling time of 0.03 to 3 would otherwise be "small" for most trajectories. What is not positive later enters as the
    smallest positive number; :meth:`require_positive` finds it. With ``source_norm`` all scalars enter as they are,
    because the equation is homogeneous in them, not in their logarithms.

    Args:
        spec: Description of the data set.
        kind: ``zscore`` or ``source_norm``.
        log_scalars: Which scalars enter by their logarithm: those that span a decade (``True``), none, or those of
            these names, whatever they span.

    Raises:
        ValueError: if ``log_scalars`` names scalars that there are not, or any with ``source_norm``.
    """

    is_fitted: Tensor
    """1 once the statistics of a train split have been taken over; a checkpoint brings them along."""
    source_rms: Tensor
    """Root mean square of the source over the train split, ``(1,)`` or ``(member,)``."""
    is_log: Tensor
    """1 for a scalar that enters by its logarithm, 0 for another, ``(scalar,)``."""

    def __init__(self, spec: FieldSpec, kind: Normalization = "zscore", *, log_scalars: LogScalars = True) -> None:
        super().__init__()
        self.scalar_names = spec.scalars
        self.log_scalars = _checked(log_scalars, spec, kind)
        self.n_dims = spec.n_dims
        self.source_channel = spec.constant_fields.index(SOURCE) if kind == "source_norm" else None
        n_members = len(spec.members)
        self.has_members = n_members > 0
        self.register_buffer("is_fitted", torch.tensor(0.0, dtype=torch.float64))
        self.register_buffer("source_rms", torch.ones(max(n_members, 1), dtype=torch.float64))
        self.register_buffer("is_log", torch.zeros(len(spec.scalars), dtype=torch.float64))
        self.fields = ZScore(len(spec.fields), n_members)
        self.increments = ZScore(len(spec.fields), n_members)
        self.constants = ZScore(len(spec.constant_fields), n_members)
        self.scalars = ZScore(len(spec.scalars))

    def fit(self, statistics: Statistics) -> None:
        """Take over the statistics of a train split.

        Raises:
            ValueError: if a scalar of ``log_scalars`` is not positive there.
        """
        is_log = self._find_logarithmic(statistics)
        self.fields.fit(statistics.mean, statistics.std)
        self.increments.fit(statistics.mean_delta, statistics.std_delta)
        self.constants.fit(statistics.constant_mean, statistics.constant_std)
        mean, std = statistics.scalar_mean, statistics.scalar_std
        if statistics.scalar_log_mean is not None and statistics.scalar_log_std is not None:
            mean = torch.where(is_log, statistics.scalar_log_mean, mean)
            std = torch.where(is_log, statistics.scalar_log_std, std)
        self.is_log.copy_(is_log)
        self.scalars.fit(mean, std)
        if self.source_channel is not None:
            moments = statistics.constant_mean, statistics.constant_std
            self.source_rms.copy_(torch.hypot(*(moment[..., self.source_channel].view(-1) for moment in moments)))
        self.is_fitted.fill_(1.0)

    def encode(
        self, frames: Float[Tensor, "batch time field *grid"], member: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch time field *grid"]:
        """Normalise frames, in their own precision or float32 if that is lower.

        Args:
            frames: Fields in physical units.
            member: Number of the data set that each sample is from; needed for a mixture only.
        """
        return self.fields.encode(frames, self.n_dims, self._of_mixture(member))

    def decode(
        self,
        frames: Float[Tensor, "batch time field *grid"],
        member: Int[Tensor, " batch"] | None = None,
        dtype: torch.dtype | None = None,
    ) -> Float[Tensor, "batch time field *grid"]:
        """Invert :meth:`encode`.

        Args:
            frames: Normalised fields.
            member: Number of the data set that each sample is from.
            dtype: Precision of the physical units, for instance that of the data; float32 at least.
        """
        frames = frames.to(torch.promote_types(dtype or frames.dtype, torch.float32))
        return self.fields.decode(frames, self.n_dims, self._of_mixture(member))

    def spread(self, member: Int[Tensor, " batch"] | None = None) -> Float[Tensor, "*batch field"]:
        """Return the standard deviation of each field over the train split, ``(field,)``, or of each sample's member.

        A field that does not vary there has the absolute value of its mean instead, or 1 where that is 0.
        """
        member = self._of_mixture(member)
        return self.fields.std if member is None else self.fields.std[member]

    def in_spreads(
        self, frames: Float[Tensor, "batch time field *grid"], member: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch time field *grid"]:
        """Return frames as multiples of :meth:`spread`."""
        return frames / over_grid(self.fields.std, frames, self.n_dims, self._of_mixture(member))

    def in_physical_units(
        self, frames: Float[Tensor, "batch time field *grid"], member: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch time field *grid"]:
        """Invert :meth:`in_spreads`."""
        return frames * over_grid(self.fields.std, frames, self.n_dims, self._of_mixture(member))

    @property
    def field_varies(self) -> Bool[Tensor, " field"]:
        """Mask of the fields that vary in the train split, of any member."""
        return self.fields.varies.view(-1, self.fields.varies.shape[-1]).any(dim=0)

    @property
    def varying_fields(self) -> Bool[Tensor, " field"]:
        """Mask of the fields that means over the fields are over: those that vary; all fields if none does."""
        return self.field_varies | ~self.field_varies.any()

    def mean_over_fields(self, errors: Float[Tensor, " field"]) -> Float[Tensor, ""]:
        """Return the mean over the fields that vary: relative errors of a field that does not are round-off."""
        return errors[self.varying_fields].mean()

    def as_frames(
        self, output: Float[Tensor, "batch time field *grid"], member: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch time field *grid"]:
        """Map an output of the network to normalised fields: those that do not vary have their mean."""
        return output * over_grid(self.fields.varies, output, self.n_dims, self._of_mixture(member)).to(output.dtype)

    def as_changes(
        self, output: Float[Tensor, "batch time field *grid"], member: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch time field *grid"]:
        """Map normalised changes between two steps to changes of normalised fields.

        A change that is always the same is predicted exactly.
        """
        changes, fields, member = self.increments, self.fields, self._of_mixture(member)
        scale, shift = (
            over_grid(statistic / fields.std, output, self.n_dims, member).to(output.dtype)
            for statistic in (changes.std * changes.varies, changes.mean)
        )
        return output * scale + shift

    def context(
        self,
        constants: Float[Tensor, "batch constant *grid"],
        scalars: Float[Tensor, "batch scalar"],
        member: Int[Tensor, " batch"] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Float[Tensor, "batch channel *grid"]:
        """Return the channels that stay the same during a forecast: constant fields, and each scalar as a plane.

        Args:
            constants: Fields without time dependence, in physical units.
            scalars: Parameters of the trajectories.
            member: Number of the data set that each sample is from.
            dtype: Precision of the result; the parts are normalised in their own.
        """
        grid, member = constants.shape[2:], self._of_mixture(member)
        if self.source_channel is not None:
            norm = self._source_norm(constants, member)
            constants, scalars = constants / norm.view(-1, 1, *(1,) * self.n_dims), scalars / norm[:, None]
        planes = self.scalars.encode(self._scaled(scalars), 0).to(dtype).view(*scalars.shape, *(1,) * self.n_dims)
        encoded = self.constants.encode(constants, self.n_dims, member).to(dtype)
        return torch.cat((encoded, planes.expand(*scalars.shape, *grid)), dim=1)

    def _find_logarithmic(self, statistics: Statistics) -> Bool[Tensor, " scalar"]:
        """Return the mask of the scalars that enter by their logarithm."""
        varies, logarithm = statistics.scalar_std > 0, statistics.scalar_log_mean
        has_logarithm = torch.zeros_like(varies) if logarithm is None else logarithm.isfinite()
        if isinstance(self.log_scalars, bool):
            smallest, largest = statistics.scalar_min, statistics.scalar_max
            if not self.log_scalars or smallest is None or largest is None:
                return torch.zeros_like(varies)
            return has_logarithm & (largest >= SMALLEST_SPAN * smallest)
        is_named = torch.tensor([name in self.log_scalars for name in self.scalar_names], dtype=torch.bool)
        lacking = (is_named & ~has_logarithm).tolist()
        if wrong := [name for name, lacks in zip(self.scalar_names, lacking, strict=True) if lacks]:
            raise ValueError(
                f"log_scalars names {wrong}, which are not positive everywhere in the train split: leave them out"
            )
        return is_named & varies

    def _scaled(self, scalars: Tensor) -> Tensor:
        """Return scalars, and logarithms of those that enter so."""
        scalars = scalars.to(torch.promote_types(scalars.dtype, torch.float32))
        logarithm = scalars.clamp(min=torch.finfo(scalars.dtype).tiny).log()
        return torch.where(self.is_log > 0, logarithm, scalars)

    def require_positive(self, scalars: Float[Tensor, "batch scalar"]) -> None:
        """Check that scalars have the logarithms that a forecast needs; on a GPU it waits for their values.

        Raises:
            ValueError: if one is not positive; names it.
        """
        if torch.compiler.is_compiling():
            return
        wrong = ((scalars <= 0) & (self.is_log > 0)).any(dim=0).tolist()
        if any(wrong):
            names = [name for name, is_wrong in zip(self.scalar_names, wrong, strict=True) if is_wrong]
            raise ValueError(
                f"the scalars {names} enter by their logarithm, as the train split has them (see log_scalars): they "
                "must be positive"
            )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if f"{prefix}is_fitted" in state_dict:  # up to 0.2 all scalars entered as they are
            state_dict.setdefault(f"{prefix}is_log", torch.zeros_like(self.is_log))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _source_norm(self, constants: Tensor, member: Tensor | None) -> Tensor:
        """Root mean square of each source over that of the train split, ``(batch,)``; 1 where there is no source."""
        source = constants[:, self.source_channel].flatten(1)
        reference = self.source_rms if member is None else self.source_rms[member]
        relative = source / reference.to(torch.promote_types(source.dtype, torch.float32)).view(-1, 1)
        norm = weighted_mean(relative.square(), (1,)).sqrt()
        return torch.where(norm > 0, norm, torch.ones_like(norm))

    def _of_mixture(self, member: Tensor | None) -> Tensor | None:
        """Return the members if there are several with statistics of their own."""
        if not self.has_members:
            return None
        if member is None:
            raise ValueError(
                "the statistics are those of a mixture: pass the number of each sample's data set as member"
            )
        return member
