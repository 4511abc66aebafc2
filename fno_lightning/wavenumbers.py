"""Wavenumbers of a real Fourier transform, and the power of its modes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.devices import held_dtype


def wavenumber_length(
    grid_shape: Sequence[int], spacing: Sequence[float], device: torch.device | None = None
) -> Float[Tensor, "*half_grid"]:
    """Return |k| of each mode of a real transform (``torch.fft.rfftn``), in radians per unit of length.

    Args:
        grid_shape: Number of grid points along each axis.
        spacing: Distance of the grid points along each axis.
        device: Where to compute; ``None``: the CPU. The result is float64 where the device has it.
    """
    device = device or torch.device("cpu")
    dtype = held_dtype(torch.float64, device)
    length = torch.zeros((), dtype=dtype, device=device)
    last = len(grid_shape) - 1
    for axis, (n, distance) in enumerate(zip(grid_shape, spacing, strict=True)):
        frequencies = (torch.fft.fftfreq if axis < last else torch.fft.rfftfreq)(
            n, distance, dtype=dtype, device=device
        )
        length = length + (2 * math.pi * frequencies).square().view(-1, *(1,) * (last - axis))
    return length.sqrt()


def mode_power(fields: Float[Tensor, ...], n_dims: int) -> Float[Tensor, ...]:
    """Split the mean square of fields over the modes of a real transform, in float32 or better.

    Args:
        fields: Fields ``(..., *grid)``, taken as periodic.
        n_dims: Number of grid axes, which come last.

    Returns:
        The power of each mode ``(..., *half_grid)``, with that of the mirror image that a real transform leaves out; by
        Parseval's theorem its sum is the mean square over the grid.
    """
    fields = fields.to(torch.promote_types(fields.dtype, torch.float32))
    coefficients = torch.fft.rfftn(fields, dim=tuple(range(-n_dims, 0)), norm="forward")
    # not abs().square(), whose root costs time
    power = torch.view_as_real(coefficients).square().sum(dim=-1)
    return power * _multiplicity(fields.shape[-1], power)


def _multiplicity(n_points: int, like: Tensor) -> Tensor:
    """Number of modes of the full transform that each mode of the half transform represents, along the last axis."""
    weight = like.new_full((n_points // 2 + 1,), 2.0)
    weight[0] = 1
    if n_points % 2 == 0:
        weight[-1] = 1
    return weight
