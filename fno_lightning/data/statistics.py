"""Statistics of the train split, by channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.data.precision import significant


class Moments:
    """Mean and population variance of each component, accumulated chunk by chunk in float64.

    Chunks are merged with the update of Chan, Golub and LeVeque (1983), The American Statistician 37(3), eq. 2.1,
    which does not cancel as the difference of two sums of squares does.

    Args:
        n_components: Number of components.
    """

    def __init__(self, n_components: int) -> None:
        self.count = 0
        self.mean = torch.zeros(n_components, dtype=torch.float64)
        self._squares = torch.zeros(n_components, dtype=torch.float64)

    def update(self, values: Float[Tensor, "value component"]) -> None:
        """Add a chunk of values."""
        values = values.double()
        count = len(values)
        if count == 0:
            return
        variance, mean = torch.var_mean(values, dim=0, correction=0)
        delta = mean - self.mean
        total = self.count + count
        self.mean = self.mean + delta * (count / total)
        self._squares = self._squares + variance * count + delta.square() * (self.count * count / total)
        self.count = total

    @property
    def std(self) -> Float[Tensor, " component"]:
        """Population standard deviation; zero before any value."""
        return (self._squares / max(self.count, 1)).sqrt()

    @property
    def rms(self) -> Float[Tensor, " component"]:
        """Root mean square."""
        return (self.mean.square() + self.std.square()).sqrt()


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of every channel over all trajectories, times and points of the train split, float64.

    A standard deviation is 0 where it is no more than rounding of the values.

    Attributes:
        mean: Mean of each field, ``(field,)``.
        std: Standard deviation of each field.
        rms: Root mean square of each field.
        mean_delta: Mean of the difference between successive steps of each field; zeros for a steady problem.
        std_delta: Standard deviation of that difference; zeros for a steady problem.
        rms_delta: Root mean square of that difference; zeros for a steady problem.
        constant_mean: Mean of each constant field, ``(constant_field,)``.
        constant_std: Standard deviation of each constant field.
        scalar_mean: Mean of each scalar over the trajectories, ``(scalar,)``.
        scalar_std: Standard deviation of each scalar over the trajectories.
        scalar_log_mean: Mean of the natural logarithm of each scalar that is positive and spans a decade or more, NaN
            for others; ``None``: NaN for all.
        scalar_log_std: Standard deviation of that logarithm, NaN or ``None`` alike.
    """

    mean: Tensor
    std: Tensor
    rms: Tensor
    mean_delta: Tensor
    std_delta: Tensor
    rms_delta: Tensor
    constant_mean: Tensor
    constant_std: Tensor
    scalar_mean: Tensor
    scalar_std: Tensor
    scalar_log_mean: Tensor | None = None
    scalar_log_std: Tensor | None = None


class StoredTypes(NamedTuple):
    """Type that each channel of a data set is stored in.

    Attributes:
        fields: Of each field.
        constants: Of each constant field.
        scalars: Of each scalar.
    """

    fields: Sequence[np.dtype]
    constants: Sequence[np.dtype]
    scalars: Sequence[np.dtype]


def log_moments(scalars: Float[Tensor, "scalar trajectory"]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of the logarithm of each scalar; NaN if it is not positive over a decade."""
    mean, std = (torch.full((len(scalars),), torch.nan, dtype=torch.float64) for _ in range(2))
    for i, values in enumerate(scalars.double()):
        if len(values) and values.min() > 0 and 10 * values.min() <= values.max() < float("inf"):
            mean[i], std[i] = values.log().mean(), values.log().std(correction=0)
    return mean, std


def statistics_from_moments(
    *,
    values: tuple[Tensor, Tensor],
    deltas: tuple[Tensor, Tensor],
    constants: tuple[Tensor, Tensor],
    scalars: tuple[Tensor, Tensor],
    scalar_logs: tuple[Tensor, Tensor],
    stored: StoredTypes,
) -> Statistics:
    """Return the statistics with given means and standard deviations; the root mean squares follow from them.

    Standard deviations that are no more than rounding become 0.

    Args:
        values: Mean and standard deviation of each field.
        deltas: The same of the differences between successive steps of each field.
        constants: The same of each constant field.
        scalars: The same of each scalar.
        scalar_logs: The same of its logarithm, see :func:`log_moments`.
        stored: Types that they are stored in.
    """
    mean, std, mean_delta, std_delta = (part.double() for part in (*values, *deltas))
    constant_mean, constant_std, scalar_mean, scalar_std = (part.double() for part in (*constants, *scalars))
    std_delta = significant(std_delta, torch.hypot(mean, std), stored.fields)
    std = significant(std, mean, stored.fields)
    constant_std = significant(constant_std, constant_mean, stored.constants)
    scalar_std = significant(scalar_std, scalar_mean, stored.scalars)
    return Statistics(
        mean=mean,
        std=std,
        rms=torch.hypot(mean, std),
        mean_delta=mean_delta,
        std_delta=std_delta,
        rms_delta=torch.hypot(mean_delta, std_delta),
        constant_mean=constant_mean,
        constant_std=constant_std,
        scalar_mean=scalar_mean,
        scalar_std=scalar_std,
        scalar_log_mean=scalar_logs[0],
        scalar_log_std=scalar_logs[1],
    )
