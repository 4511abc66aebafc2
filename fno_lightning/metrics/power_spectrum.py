"""Power of a field, wavenumber by wavenumber."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def shell_power(
    fields: Float[Tensor, ...], edges: Float[Tensor, " edge"], *, n_dims: int, spacing: Sequence[float] | None = None
) -> Float[Tensor, "... shell"]:
    r"""Splits the mean square of fields over shells of the wavenumber's length.

    Shell i holds the modes with :math:`e_i \le |k| < e_{i+1}`. By Parseval's theorem the shells add up to the mean
    square over the grid, if the edges cover every wavenumber.

    Args:
        fields: Fields ``(..., *grid)``, taken as periodic.
        edges: Ascending edges of the shells, in radians per unit of ``spacing``.
        n_dims: Number of grid axes, which come last.
        spacing: Distance of the grid points along each axis; ``None``: one, so that wavenumbers reach π along an axis.

    Returns:
        The power in each shell, ``(..., shell)``.
    """
    grid_shape = fields.shape[-n_dims:]
    grid = tuple(range(-n_dims, 0))
    power = torch.fft.rfftn(fields, dim=grid, norm="forward").abs().square()
    weight = _multiplicity(grid_shape[-1]).to(power)
    length = wavenumber_length(grid_shape, spacing or (1.0,) * n_dims)
    shell = (torch.bucketize(length, edges.to(length), right=True) - 1).to(power.device)
    members = torch.stack([(shell == i).to(power) for i in range(len(edges) - 1)], dim=-1) * weight[:, None]
    return torch.matmul(power.flatten(start_dim=-n_dims), members.flatten(end_dim=-2))


def wavenumber_length(grid_shape: Sequence[int], spacing: Sequence[float]) -> Float[Tensor, "*half_grid"]:
    """Returns |k| of each mode of a real transform (``torch.fft.rfftn``), in radians per unit of length, in float64."""
    axes = [
        2 * math.pi * torch.fft.fftfreq(n, d, dtype=torch.float64)
        for n, d in zip(grid_shape[:-1], spacing[:-1], strict=True)
    ]
    axes.append(2 * math.pi * torch.fft.rfftfreq(grid_shape[-1], spacing[-1], dtype=torch.float64))
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).square().sum(dim=0).sqrt()


def _multiplicity(n_points: int) -> Tensor:
    """How many modes of the full transform each mode of the half transform along the last axis stands for."""
    weight = torch.full((n_points // 2 + 1,), 2.0)
    weight[0] = 1
    if n_points % 2 == 0:
        weight[-1] = 1
    return weight
