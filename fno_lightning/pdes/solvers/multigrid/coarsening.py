r"""Coarser grids for multigrid: pairs of cells become one.

Along one axis the cells 2 J and 2 J + 1 become the cell J; an odd number of cells leaves the last one single. A coarse
conductance follows from resistances in series,

.. math:: 1 / T_c = R_J / 2 + 1 / T + R_{J+1} / 2

with T that of the face between two pairs and R the resistance between the two cells of a pair (0 for a single one).
Where a current flows through them, the potential of a fine cell lies between those of its own and of the next pair,

.. math:: p = (1 - w)\, P_J + w\, P_\text{next}, \qquad w = T_c R_J / 2,

which is linear interpolation, w = 1/4, for a constant coefficient. Rows beside each other are parallel, so their
conductances add.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from fno_lightning.pdes.solvers.multigrid.conductances import Conductances

Axes = tuple[bool, bool]
"""Whether to halve the number of cells along x and y."""


class Coarsened(NamedTuple):
    """A coarser grid, and how its values are interpolated.

    Attributes:
        t: Conductances of the coarser grid.
        next_x: Weight w of the next pair along x for every fine cell; 0 where x is kept.
        next_y: Likewise along y, for every fine column of the coarse rows.
    """

    t: Conductances
    next_x: Float[Tensor, "batch x y"]
    next_y: Float[Tensor, "batch coarse_x y"]


@dataclass(frozen=True)
class Spacing:
    """Edges of a grid's cells."""

    x: float
    y: float

    def axes(self, n_cells: tuple[int, int]) -> Axes:
        """Return the axes to coarsen: those along which cells are close, hence strongly coupled."""
        h_x, h_y = (h if n > 1 else float("inf") for h, n in zip((self.x, self.y), n_cells, strict=True))
        closest = 1.5 * min(h_x, h_y)
        return h_x <= closest, h_y <= closest

    def coarsened(self, axes: Axes) -> Spacing:
        """Return the spacing of the coarser grid."""
        return Spacing(self.x * (1 + axes[0]), self.y * (1 + axes[1]))


def coarsened(t: Conductances, axes: Axes) -> Coarsened:
    """Halve the number of cells along the given axes."""
    next_x = torch.zeros_like(t.y[:, :, 1:])
    if axes[0]:
        x, y, next_x = _paired(t.x, t.y)
        t = Conductances(x, y)
    next_y = torch.zeros_like(t.y[:, :, 1:])
    if axes[1]:
        y, x, next_y = (field.transpose(1, 2) for field in _paired(t.y.transpose(1, 2), t.x.transpose(1, 2)))
        t = Conductances(x.contiguous(), y.contiguous())
    return Coarsened(t, next_x, next_y)


def _paired(along: Tensor, across: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pair cells along the first axis: conductances along and across it, and weights of the next pair."""
    n_cells = along.shape[1] - 1
    resistance = 1 / along
    if n_cells % 2:
        resistance = torch.cat([pad(resistance[:, :-1], (0, 0, 0, 1)), resistance[:, -1:]], dim=1)
        across = pad(across, (0, 0, 0, 1))
    half_pair = resistance[:, 1::2] / 2
    coarse = 1 / (resistance[:, 0::2] + pad(half_pair, (0, 0, 1, 0)) + pad(half_pair, (0, 0, 0, 1)))
    weights = torch.stack([half_pair * coarse[:, :-1], half_pair * coarse[:, 1:]], dim=2)
    return coarse, across[:, 0::2] + across[:, 1::2], weights.flatten(1, 2)[:, :n_cells]
