"""Transfer of fields between a grid and a coarser one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.darcy.coarsening import Axes, Coarsened
from fno_lightning.pdes.darcy.red_black import Coloured, RedBlackLayout


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
        """Distributes a residual, which is 0 on the black cells, to the coarse grid."""
        layout = self._coarse
        coarse = red.new_zeros(layout.n_samples, layout.n_rows, layout.width)
        parities = self._by_parity(red)
        for share in self._shares:
            coarse[share.coarse].addcmul_(share.weight, parities[share.parity][share.fine])
        return layout.split(coarse)

    def add_interpolated(self, red: Float[Tensor, " half"], coloured: Coloured) -> None:
        """Adds a coarse field to the red cells of a fine one, in place."""
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
    """How the fine cells of one parity take part in the interpolation along one axis."""
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
