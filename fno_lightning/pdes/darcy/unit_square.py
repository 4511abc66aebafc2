"""The unit square: its cells, and smooth random functions on it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fno_lightning.pdes.random_fields import GaussianRandomField

N_FREQUENCIES = 64
"""Frequencies along each axis that the variance is summed over."""


def cell_centres(resolution: Sequence[int]) -> dict[str, Tensor]:
    """Centres (i + 1/2) / n of n cells along each axis, by the axis's name."""
    return {name: (torch.arange(n, dtype=torch.float64) + 0.5) / n for name, n in zip("xy", resolution, strict=True)}


def cell_spacing(resolution: tuple[int, int]) -> tuple[float, float]:
    """Edges of a cell."""
    return 1 / resolution[0], 1 / resolution[1]


def unit_gaussian_field(alpha: float, tau: float) -> GaussianRandomField:
    r"""A Gaussian random field with zero-gradient sides whose square is 1 on average over draws and the square.

    Args:
        alpha: α, smoothness; above 1, or the variance would be infinite.
        tau: τ, inverse length scale.
    """
    k = math.pi * torch.arange(N_FREQUENCIES + 1, dtype=torch.float64)
    variances = (k[:, None].square() + k.square() + tau**2).pow(-alpha)
    return GaussianRandomField(alpha, tau, (variances.sum() - variances[0, 0]).rsqrt().item(), "zero-gradient")
