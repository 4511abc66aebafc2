"""Cells of the unit square."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def cell_centres(resolution: Sequence[int]) -> dict[str, Tensor]:
    """Return the centres (i + 1/2) / n of n cells along each axis, by the axis's name."""
    return {name: (torch.arange(n, dtype=torch.float64) + 0.5) / n for name, n in zip("xy", resolution, strict=True)}


def cell_spacing(resolution: tuple[int, int]) -> tuple[float, float]:
    """Return the lengths of a cell's edges."""
    return 1 / resolution[0], 1 / resolution[1]
