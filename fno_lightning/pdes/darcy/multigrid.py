"""A multigrid V-cycle for diffusion equations with rough coefficients."""

from __future__ import annotations

import torch
from torch import Tensor

from fno_lightning.pdes.darcy.coarsening import Spacing, coarsened
from fno_lightning.pdes.darcy.conductances import Conductances
from fno_lightning.pdes.darcy.red_black import Coloured, Couplings, RedBlackLayout
from fno_lightning.pdes.darcy.transfer import Transfer

N_SWEEPS = 2
COARSEST = 36
"""Cells of a grid that is solved for directly."""


class Multigrid:
    """Approximates the inverse of a diffusion operator by a symmetric V-cycle.

    Relaxation is red-black Gauss-Seidel; interpolation and coarse conductances follow the coefficients, see
    :mod:`~fno_lightning.pdes.darcy.coarsening`, so that jumps of the coefficients do no harm. Everything works on
    unknowns that are scaled so that the operator's diagonal is 1.

    Args:
        t: Conductances; they set device and precision.
        spacing: Edges of the cells.
    """

    def __init__(self, t: Conductances, spacing: Spacing) -> None:
        diagonal = t.total
        layout = RedBlackLayout(len(diagonal), *t.n_cells)
        self._scale = layout.coloured(diagonal.rsqrt())
        self._levels: list[_Level] = []
        while diagonal[0].numel() > COARSEST:
            axes = spacing.axes(t.n_cells)
            grids = coarsened(t, axes)
            coarse_diagonal = grids.t.total
            coarse = RedBlackLayout(len(diagonal), *grids.t.n_cells)
            transfer = Transfer(layout, coarse, axes, grids, diagonal.sqrt(), coarse_diagonal.rsqrt())
            self._levels.append(_Level(_scaled_couplings(layout, t, diagonal), transfer))
            t, diagonal, layout, spacing = grids.t, coarse_diagonal, coarse, spacing.coarsened(axes)
        self._coarsest = layout
        self._inverse = _inverse(t, diagonal)

    def __call__(self, b: Coloured) -> Coloured:
        """Applies the approximate inverse."""
        return self._cycle(b * self._scale, 0) * self._scale

    def _cycle(self, b: Coloured, depth: int) -> Coloured:
        if depth == len(self._levels):
            b = self._coarsest.merged(b).flatten(1)
            solved = torch.linalg.vecdot(self._inverse, b[:, None])
            return self._coarsest.coloured(solved.view(-1, self._coarsest.n_x, self._coarsest.n_y))
        level = self._levels[depth]
        x = level.relaxed(b)
        coarse = self._cycle(level.transfer.restricted(level.red_residual(b, x)), depth + 1)
        level.transfer.add_interpolated(x[0], coarse)
        level.relax(x, b)
        return x


class _Level:
    """A grid of the hierarchy and the way to the next coarser one."""

    def __init__(self, couplings: Couplings, transfer: Transfer) -> None:
        self._couplings = couplings
        self.transfer = transfer

    def relaxed(self, b: Coloured) -> Coloured:
        """Relaxes 0, red cells first."""
        x = torch.empty_like(b)
        x[0] = b[0]
        self._relax_black(x, b)
        for _ in range(N_SWEEPS - 1):
            self._relax_red(x, b)
            self._relax_black(x, b)
        return x

    def relax(self, x: Coloured, b: Coloured) -> None:
        """Relaxes in place, black cells first: the transpose of :meth:`relaxed`."""
        for _ in range(N_SWEEPS):
            self._relax_black(x, b)
            self._relax_red(x, b)

    def red_residual(self, b: Coloured, x: Coloured) -> Tensor:
        """Residual of the red cells; that of the black ones, which were relaxed last, is 0."""
        residual = b[0] - x[0]
        self._couplings.red_sums(residual, x[1], residual)
        return residual

    def _relax_red(self, x: Coloured, b: Coloured) -> None:
        self._couplings.red_sums(b[0], x[1], x[0])

    def _relax_black(self, x: Coloured, b: Coloured) -> None:
        self._couplings.black_sums(b[1], x[0], x[1])


def _scaled_couplings(layout: RedBlackLayout, t: Conductances, diagonal: Tensor) -> Couplings:
    """Off-diagonal entries, with the opposite sign, once the diagonal is 1."""
    scale = diagonal.rsqrt()
    x = t.x[:, 1:-1] * scale[:, 1:] * scale[:, :-1]
    y = t.y[:, :, 1:-1] * scale[:, :, 1:] * scale[:, :, :-1]
    return Couplings.between(layout, x, y)


def _inverse(t: Conductances, diagonal: Tensor) -> Tensor:
    """Dense inverse of the scaled operator, ``(batch, cell, cell)``."""
    n_y = diagonal.shape[2]
    scale = diagonal.flatten(1).rsqrt()
    down = t.x[:, 1:-1].flatten(1)
    right = torch.nn.functional.pad(t.y[:, :, 1:-1], (0, 1)).flatten(1)[:, :-1]
    upper = torch.diag_embed(right, offset=1)
    if down.shape[1]:
        upper = upper + torch.diag_embed(down, offset=n_y)
    matrix = torch.diag_embed(diagonal.flatten(1)) - upper - upper.transpose(1, 2)
    inverse: Tensor = torch.linalg.inv_ex(scale[:, :, None] * matrix * scale[:, None, :]).inverse
    return inverse
