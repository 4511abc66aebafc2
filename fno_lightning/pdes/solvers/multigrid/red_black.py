"""Storage of fields on a two-dimensional grid by colour, as on a chess-board.

Neighbours of red cells are black and the reverse, so that a Gauss-Seidel sweep over all cells of a colour is a sum of
four products of contiguous vectors. That they are contiguous is due to the layout: a field is padded with empty columns
to an odd ``width`` and with empty rows to an even number; then cells at even positions of memory are red, those at odd
positions are black, and the cells above, below, left and right of a position k are k - width, k + width, k - 1, k + 1.
The samples of a batch follow each other; the padding keeps them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.solvers.multigrid.conductances import Conductances

Coloured = Float[Tensor, "2 cells"]
"""A batch of fields: all red cells, all black cells."""


@dataclass(frozen=True)
class RedBlackLayout:
    """Layout in memory of a batch of fields ``(batch, n_x, n_y)``.

    Args:
        n_samples: Size of the batch.
        n_x: Cells along x.
        n_y: Cells along y.
    """

    n_samples: int
    n_x: int
    n_y: int

    @property
    def n_rows(self) -> int:
        """Rows with padding, an even number."""
        return self.n_x + 2 - self.n_x % 2

    @property
    def width(self) -> int:
        """Columns with padding, an odd number."""
        return self.n_y + 1 + self.n_y % 2

    def padded(self, field: Float[Tensor, "batch x y"]) -> Float[Tensor, "batch rows width"]:
        """Add the padding, zeros."""
        result = field.new_zeros(self.n_samples, self.n_rows, self.width)
        result[:, : field.shape[1], : field.shape[2]] = field
        return result

    def split(self, padded: Float[Tensor, "batch rows width"]) -> Coloured:
        """Separate the colours."""
        cells = padded.view(-1)
        return torch.stack([cells[0::2], cells[1::2]])

    def coloured(self, field: Float[Tensor, "batch x y"]) -> Coloured:
        """Pad a field and separate its colours."""
        return self.split(self.padded(field))

    def merged(self, coloured: Coloured) -> Float[Tensor, "batch x y"]:
        """Put the colours together again and take the padding away."""
        return self.joined(coloured)[:, : self.n_x, : self.n_y]

    def joined(self, coloured: Coloured) -> Float[Tensor, "batch rows width"]:
        """Put the colours together again: they alternate, like the parts of complex numbers."""
        alternating: Tensor = torch.view_as_real(torch.complex(coloured[0], coloured[1]))
        return alternating.view(self.n_samples, self.n_rows, self.width)

    def dot(self, a: Coloured, b: Coloured) -> Float[Tensor, " batch"]:
        """Return inner products, one for each sample."""
        by_sample = (2, self.n_samples, -1)
        products: Tensor = torch.linalg.vecdot(a.view(by_sample), b.view(by_sample))
        return products.sum(dim=0)

    def squared_norm(self, a: Coloured) -> Float[Tensor, " batch"]:
        """Return inner products of fields with themselves."""
        norms: Tensor = torch.linalg.vector_norm(a.view(2, self.n_samples, -1), dim=-1)
        return norms.square().sum(dim=0)

    def add_multiple(self, field: Coloured, factor: Float[Tensor, " batch"], other: Coloured) -> Coloured:
        """Add to a field a multiple of another, in place.

        Args:
            field: Field that is changed.
            factor: Factor of each sample.
            other: Field that is added.
        """
        by_sample = (2, self.n_samples, -1)
        field.view(by_sample).addcmul_(factor.view(1, -1, 1), other.view(by_sample))
        return field


class Couplings(NamedTuple):
    """Weights of the four neighbours in sums over neighbours, symmetric; by position of the first cell of a pair.

    Attributes:
        red_right: From a red cell to its right neighbour.
        black_right: From a black cell to its right neighbour.
        red_down: From a red cell to the one below.
        black_down: From a black cell to the one below.
    """

    red_right: Float[Tensor, " a"]
    black_right: Float[Tensor, " b"]
    red_down: Float[Tensor, " c"]
    black_down: Float[Tensor, " d"]

    @classmethod
    def between(
        cls, layout: RedBlackLayout, x: Float[Tensor, "batch x1 y"], y: Float[Tensor, "batch x y1"]
    ) -> Couplings:
        """Return the couplings across the inner faces of a grid.

        Args:
            layout: Layout of the fields.
            x: Weights of the inner faces across x.
            y: Weights of the inner faces across y.
        """
        right, down = layout.coloured(y), layout.coloured(x)
        half, n = layout.width // 2, right.shape[1]
        return cls(right[0], right[1, : n - 1].clone(), down[0, : n - half].clone(), down[1, : n - half - 1].clone())

    def red_sums(self, start: Tensor, black: Tensor, red: Tensor, sign: int = 1) -> None:
        """Write to the red cells a start plus the weighted sums over their neighbours.

        Args:
            start: Values that the sums are added to; may be the red cells themselves.
            black: Values of the black cells.
            red: Values of the red cells, which are overwritten.
            sign: Sign of the sums.
        """
        n = red.shape[0]
        half = n - self.red_down.shape[0]
        torch.addcmul(start, self.red_right, black, value=sign, out=red)
        red[1:].addcmul_(self.black_right, black[: n - 1], value=sign)
        red[: n - half].addcmul_(self.red_down, black[half:], value=sign)
        red[half + 1 :].addcmul_(self.black_down, black[: n - half - 1], value=sign)

    def black_sums(self, start: Tensor, red: Tensor, black: Tensor, sign: int = 1) -> None:
        """Write to the black cells a start plus the weighted sums over their neighbours.

        Args:
            start: Values that the sums are added to; may be the black cells themselves.
            red: Values of the red cells.
            black: Values of the black cells, which are overwritten.
            sign: Sign of the sums.
        """
        n = red.shape[0]
        half = n - self.red_down.shape[0]
        torch.addcmul(start, self.red_right, red, value=sign, out=black)
        black[: n - 1].addcmul_(self.black_right, red[1:], value=sign)
        black[half:].addcmul_(self.red_down, red[: n - half], value=sign)
        black[: n - half - 1].addcmul_(self.black_down, red[half + 1 :], value=sign)


class DiffusionOperator:
    """Outflow of each cell for a given field: the symmetric matrix of a discrete diffusion equation.

    Args:
        layout: Layout of the fields.
        t: Conductances.
    """

    def __init__(self, layout: RedBlackLayout, t: Conductances) -> None:
        self._diagonal = layout.coloured(t.total)
        self._couplings = Couplings.between(layout, t.x[:, 1:-1], t.y[:, :, 1:-1])

    def __call__(self, p: Coloured) -> Coloured:
        """Apply the matrix."""
        outflow = self._diagonal * p
        self._couplings.red_sums(outflow[0], p[1], outflow[0], sign=-1)
        self._couplings.black_sums(outflow[1], p[0], outflow[1], sign=-1)
        return outflow
