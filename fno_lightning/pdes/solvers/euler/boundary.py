"""Ghost cells: boundary conditions at the edges of the grid."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.solvers.euler.state import Primitive

Boundary = Literal["periodic", "open", "wall"]
"""Condition at both ends of an axis: periodic, zero gradient (open) or a reflecting wall."""

N_GHOST = 2
"""Ghost cells on each side, as many as a cell's faces and their limited slopes reach."""


def with_ghost_cells(cells: Primitive, boundaries: tuple[Boundary, Boundary]) -> Primitive:
    """Surround the grid with ghost cells.

    Args:
        cells: State on the grid, ``(batch, x, y)``.
        boundaries: Conditions along x and along y.

    Returns:
        The state on ``(batch, x + 2 N_GHOST, y + 2 N_GHOST)``.
    """
    boundary_x, boundary_y = boundaries
    padded_x = _extend(cells, 1, boundary_x)
    return _extend(padded_x.swapped, 2, boundary_y).swapped


def _extend(cells: Primitive, dim: int, boundary: Boundary) -> Primitive:
    """Extend one axis; ``velocity_x`` is the velocity along it."""
    extended = [_extend_field(field, dim, boundary) for field in cells]
    if boundary == "wall":
        extended[1] = _extend_field(cells.velocity_x, dim, boundary, sign=-1)
    return Primitive(*extended)


def _extend_field(
    field: Float[Tensor, "batch x y"], dim: int, boundary: Boundary, sign: int = 1
) -> Float[Tensor, "batch x2 y2"]:
    first, last = field.narrow(dim, 0, 1), field.narrow(dim, -1, 1)
    match boundary:
        case "open":
            return torch.cat([first, first, field, last, last], dim)
        case "periodic":
            return torch.cat([field.narrow(dim, -N_GHOST, N_GHOST), field, field.narrow(dim, 0, N_GHOST)], dim)
        case "wall":
            second, second_last = field.narrow(dim, 1, 1), field.narrow(dim, -2, 1)
            return torch.cat([sign * second, sign * first, field, sign * last, sign * second_last], dim)
