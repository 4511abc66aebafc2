"""Normalisation of each sample by its own last frame, undone after the network."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.weighted_means import variance_and_mean

SMALLEST_DEVIATION = 0.02
"""Smallest spatial deviation of a frame that it is divided by, in units of the field's spread over the train split."""


class ReversibleNorm(NamedTuple):
    r"""Spatial mean and deviation of the last frame of each sample and field.

    .. math:: \hat u = (u - m) / s, \qquad s^2 = \mathrm{var}(u) + s_0^2

    over the grid, with s₀ = :data:`SMALLEST_DEVIATION`. A field whose mean drifts far while its fluctuation is small,
    as a pressure's, so has a fluctuation of the size that a network resolves, at every step of a rollout anew.

    Reference: Kim et al., ICLR 2022 (reversible instance normalisation, of time series).

    Attributes:
        mean: m, ``(batch, 1, field, *1)``.
        deviation: s, of the same shape.
    """

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, frames: Float[Tensor, "batch time field *grid"]) -> ReversibleNorm:
        """Return the mean and the deviation of the last frames, in float32 or better."""
        last = frames[:, -1:].to(torch.promote_types(frames.dtype, torch.float32))
        variance, mean = variance_and_mean(last, tuple(range(3, last.ndim)))
        return cls(mean, (variance + SMALLEST_DEVIATION**2).sqrt())

    def encode(self, frames: Float[Tensor, "batch time field *grid"]) -> Float[Tensor, "batch time field *grid"]:
        """Normalise frames; the result has their precision."""
        return ((frames - self.mean) / self.deviation).to(frames.dtype)

    def decode(self, frames: Float[Tensor, "batch time field *grid"]) -> Float[Tensor, "batch time field *grid"]:
        """Invert :meth:`encode`, in float32 or better."""
        return self.mean + self.deviation * frames

    def planes(self, frames: Float[Tensor, "batch time field *grid"]) -> Float[Tensor, "batch channel *grid"]:
        """Return what frames lose as constant planes, two for each field: means, then logarithms of deviations."""
        values = torch.cat((self.mean, self.deviation.log()), dim=2)[:, 0].to(frames.dtype)
        return values.expand(-1, -1, *frames.shape[3:])
