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
from fno_lightning.slabs import whole_fields
from fno_lightning.weighted_means import weighted_mean, weighted_variance


class Moments:
    """Mean and population variance of each component, accumulated chunk by chunk in float64.

    Chunks are merged with the update of Chan, Golub and LeVeque (1983), The American Statistician 37(3), eq. 2.1,
    which does not cancel as the difference of two sums of squares does.

    Args:
        n_components: Number of components.
    """

    def __init__(self, n_components: int) -> None:
        self.count: float = 0
        self.mean = torch.zeros(n_components, dtype=torch.float64)
        self._squares = torch.zeros(n_components, dtype=torch.float64)

    def update(self, values: Float[Tensor, "value component"], weight: Float[Tensor, " value"] | None = None) -> None:
        """Add a chunk of values; each counts once, or as often as its weight says."""
        values = values.double()
        if weight is not None:
            weight = weight.double()[:, None]
        count = len(values) if weight is None else float(weight.sum())
        if count == 0:
            return
        with whole_fields():  # each process that reads chunks reads all of them
            variance, mean = weighted_variance(values, (0,), weight, correction=0), weighted_mean(values, (0,), weight)
        delta = mean - self.mean
        total = self.count + count
        self.mean = self.mean + delta * (count / total)
        self._squares = self._squares + variance * count + delta.square() * (self.count * count / total)
        self.count = total

    @property
    def std(self) -> Float[Tensor, " component"]:
        """Population standard deviation; zero before any value."""
        return (self._squares / (self.count or 1)).sqrt()

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
        scalar_log_mean: Mean of the natural logarithm of each scalar, NaN for one that is not positive everywhere;
            ``None``: NaN for all.
        scalar_log_std: Standard deviation of that logarithm, NaN or ``None`` alike.
        scalar_min: Smallest value of each scalar; ``None``: unknown.
        scalar_max: Largest value of each scalar; ``None``: unknown.
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
    scalar_min: Tensor | None = None
    scalar_max: Tensor | None = None


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


def scalar_statistics(values: Float[Tensor, "scalar trajectory"]) -> dict[str, Tensor]:
    """Return the statistics of scalars, by the names that :class:`Statistics` has for them."""
    values = values.double()
    unknown = values.new_full((len(values),), torch.nan)
    smallest, largest = values.aminmax(dim=1) if values.shape[1] else (unknown, unknown)
    is_positive = ((smallest > 0) & largest.isfinite())[:, None]
    logarithms = torch.where(is_positive, values, torch.nan).log()
    table = {"scalar_min": smallest, "scalar_max": largest}
    for kind, numbers in (("scalar", values), ("scalar_log", logarithms)):
        mean = numbers.mean(dim=1, keepdim=True)
        table[f"{kind}_mean"] = mean[:, 0]
        table[f"{kind}_std"] = (numbers - mean).square().mean(dim=1).sqrt()  # torch.std warns of no scalars
    return table


def statistics_from_moments(
    *,
    values: tuple[Tensor, Tensor],
    deltas: tuple[Tensor, Tensor],
    constants: tuple[Tensor, Tensor],
    scalars: Float[Tensor, "scalar trajectory"],
    stored: StoredTypes,
) -> Statistics:
    """Return the statistics with given means and standard deviations, and of given scalars.

    The root mean squares follow from them. Standard deviations that are no more than rounding become 0.

    Args:
        values: Mean and standard deviation of each field.
        deltas: The same of the differences between successive steps of each field.
        constants: The same of each constant field.
        scalars: Values of each scalar.
        stored: Types that they are stored in.
    """
    mean, std, mean_delta, std_delta = (part.double() for part in (*values, *deltas))
    constant_mean, constant_std = (part.double() for part in constants)
    of_scalars = scalar_statistics(scalars)
    std_delta = significant(std_delta, torch.hypot(mean, std), stored.fields)
    std = significant(std, mean, stored.fields)
    constant_std = significant(constant_std, constant_mean, stored.constants)
    of_scalars["scalar_std"] = significant(of_scalars["scalar_std"], of_scalars["scalar_mean"], stored.scalars)
    return Statistics(
        mean=mean,
        std=std,
        rms=torch.hypot(mean, std),
        mean_delta=mean_delta,
        std_delta=std_delta,
        rms_delta=torch.hypot(mean_delta, std_delta),
        constant_mean=constant_mean,
        constant_std=constant_std,
        **of_scalars,
    )
