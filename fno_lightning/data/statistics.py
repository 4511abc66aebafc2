"""Statistics of the train split, by channel."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Statistics:
    """Mean and spread of every channel over the train split (all trajectories, times and points), float32.

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
