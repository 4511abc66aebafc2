"""A multigrid V-cycle for diffusion equations with rough coefficients."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.solvers.multigrid.coarsening import Axes, Coarsened, Spacing, coarsened
from fno_lightning.pdes.solvers.multigrid.conductances import Conductances
from fno_lightning.pdes.solvers.multigrid.red_black import Coloured, Couplings, RedBlackLayout


class _Pairing(NamedTuple):
    """Fine cells of one axis with the coarse cells that they take a share of."""

    among_parity: slice
    among_all: slice
    coarse: slice
    is_next: bool


class _Share(NamedTuple):
    """Part of the interpolation: each of some fine red cells from one coarse cell."""

    parity: int
    fine: tuple[slice, slice, slice]
    coarse: tuple[slice, slice, slice]
    weight: Float[Tensor, "batch x y"]


class Transfer:
    """Interpolation from a coarse grid to the red cells of a fine one, and restriction, its transpose.

    Black cells need neither: they are relaxed just before the restriction, which leaves them without a residual, and
    just after the interpolation, which overwrites them.

    Args:
        fine: Layout of the fine grid.
        coarse: Layout of the coarse grid.
        axes: Coarsened axes.
        grids: Weights of the interpolation.
        fine_scale: Factors from interpolated to fine unknowns.
        coarse_scale: Factors from coarse unknowns to what is interpolated.
    """

    def __init__(
        self,
        fine: RedBlackLayout,
        coarse: RedBlackLayout,
        axes: Axes,
        grids: Coarsened,
        fine_scale: Float[Tensor, "batch x y"],
        coarse_scale: Float[Tensor, "batch coarse_x coarse_y"],
    ) -> None:
        self._fine, self._coarse = fine, coarse
        self._shares = []
        everything = slice(None)
        for parity in (0, 1):
            pairings = product(_pairings(fine.n_x, axes[0], parity), _pairings(fine.n_y, axes[1], parity))
            for x, y in pairings:
                next_x = grids.next_x[:, x.among_all, y.among_all]
                next_y = grids.next_y[:, x.coarse, y.among_all]
                weight = (next_x if x.is_next else 1 - next_x) * (next_y if y.is_next else 1 - next_y)
                weight *= fine_scale[:, x.among_all, y.among_all] * coarse_scale[:, x.coarse, y.coarse]
                at = (everything, x.among_parity, y.among_parity), (everything, x.coarse, y.coarse)
                self._shares.append(_Share(parity, *at, weight))

    def restricted(self, red: Float[Tensor, " half"]) -> Coloured:
        """Distribute a residual, which is 0 on the black cells, to the coarse grid."""
        layout = self._coarse
        coarse = red.new_zeros(layout.n_samples, layout.n_rows, layout.width)
        parities = self._by_parity(red)
        for share in self._shares:
            coarse[share.coarse].addcmul_(share.weight, parities[share.parity][share.fine])
        return layout.split(coarse)

    def add_interpolated(self, red: Float[Tensor, " half"], coloured: Coloured) -> None:
        """Add a coarse field to the red cells of a fine one, in place."""
        coarse = self._coarse.joined(coloured)
        parities = self._by_parity(red)
        for share in self._shares:
            parities[share.parity][share.fine].addcmul_(share.weight, coarse[share.coarse])

    def _by_parity(self, red: Tensor) -> tuple[Tensor, Tensor]:
        """Red cells in even rows and columns, and those in odd ones."""
        rows = red.view(self._fine.n_samples, self._fine.n_rows // 2, self._fine.width)
        n_even = self._fine.width // 2 + 1
        return rows[:, :, :n_even], rows[:, :, n_even:]


def _pairings(n_cells: int, is_coarsened: bool, parity: int) -> Iterator[_Pairing]:
    """Yield the shares of the fine cells of one parity in the interpolation along one axis."""
    n_parity = (n_cells + 1 - parity) // 2
    fine = slice(parity, n_cells, 2)
    if not is_coarsened:
        yield _Pairing(slice(n_parity), fine, fine, is_next=False)
        return
    yield _Pairing(slice(n_parity), fine, slice(n_parity), is_next=False)
    n_pairs = (n_cells + 1) // 2
    if n_pairs < 2:
        return
    if parity == 0:
        yield _Pairing(slice(1, n_pairs), slice(2, n_cells, 2), slice(n_pairs - 1), is_next=True)
    else:
        yield _Pairing(slice(n_pairs - 1), slice(1, 2 * n_pairs - 2, 2), slice(1, n_pairs), is_next=True)


N_SWEEPS = 2
COARSEST = 36
"""Cells of a grid that is solved for directly."""


class Multigrid:
    """Approximate inverse of a diffusion operator by a symmetric V-cycle.

    Relaxation is red-black Gauss-Seidel; interpolation and coarse conductances follow the coefficients, see
    :mod:`~fno_lightning.pdes.solvers.multigrid.coarsening`, so that jumps of the coefficients do no harm. Everything
    works on unknowns that are scaled so that the operator's diagonal is 1.

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
        """Apply the approximate inverse."""
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
        """Relax 0, red cells first."""
        x = torch.empty_like(b)
        x[0] = b[0]
        self._relax_black(x, b)
        for _ in range(N_SWEEPS - 1):
            self._relax_red(x, b)
            self._relax_black(x, b)
        return x

    def relax(self, x: Coloured, b: Coloured) -> None:
        """Relax in place, black cells first: the transpose of :meth:`relaxed`."""
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
