r"""Finite volumes for diffusion: conductances of the faces between the cells of a grid.

The flow from a cell to its neighbour is :math:`T\, (p_\text{cell} - p_\text{neighbour})` with the conductance
:math:`T = k A / d`, A the area of the face and d the distance of the two centres. Through a face on the boundary, which
is half as far away, :math:`T = 2 k A / d` and the neighbour is the boundary, where p = 0.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class FaceCoefficients(NamedTuple):
    """Diffusion coefficients k on the faces of a grid.

    Attributes:
        x: On the faces across x, ``(batch, n_x + 1, n_y)``, the two on the boundary included.
        y: On the faces across y, ``(batch, n_x, n_y + 1)``, likewise.
    """

    x: Float[Tensor, "batch x_faces y"]
    y: Float[Tensor, "batch x y_faces"]


class Conductances(NamedTuple):
    """Conductances T of the faces of a grid; layout as in :class:`FaceCoefficients`."""

    x: Float[Tensor, "batch x_faces y"]
    y: Float[Tensor, "batch x y_faces"]

    @property
    def n_cells(self) -> tuple[int, int]:
        """Cells along x and y."""
        return self.y.shape[1], self.x.shape[2]

    @property
    def total(self) -> Float[Tensor, "batch x y"]:
        """Sum over the four faces of each cell: the diagonal of the discrete operator."""
        return self.x[:, 1:] + self.x[:, :-1] + self.y[:, :, 1:] + self.y[:, :, :-1]


def harmonic_faces(permeability: Float[Tensor, "batch x y"]) -> FaceCoefficients:
    """Return harmonic means of the two adjacent cells, 0 between impermeable ones; a cell's own value on the boundary.

    They make the flow exact in one dimension for coefficients that are constant in each cell.
    """
    return FaceCoefficients(*(_harmonic_means(permeability, axis) for axis in (1, 2)))


def _harmonic_means(k: Tensor, axis: int) -> Tensor:
    n = k.shape[axis]
    lower, upper = k.narrow(axis, 0, n - 1), k.narrow(axis, 1, n - 1)
    total = lower + upper
    inner = 2 * lower * upper / torch.where(total == 0, 1.0, total)
    return torch.cat([k.narrow(axis, 0, 1), inner, k.narrow(axis, n - 1, 1)], dim=axis)


def face_conductances(faces: FaceCoefficients, spacing: tuple[float, float]) -> Conductances:
    """Return conductances of cells with edges of the given lengths."""
    h_x, h_y = spacing
    result = Conductances(faces.x * (h_y / h_x), faces.y * (h_x / h_y))
    for edge in (result.x[:, 0], result.x[:, -1], result.y[:, :, 0], result.y[:, :, -1]):
        edge *= 2
    return result


def net_outflow(
    t: Conductances, p: Float[Tensor, "batch x y"]
) -> tuple[Float[Tensor, "batch x y"], Float[Tensor, " batch"]]:
    """Return the outflow of each cell, and of the whole domain."""
    flow_x = -t.x * torch.nn.functional.pad(p, (0, 0, 1, 1)).diff(dim=1)
    flow_y = -t.y * torch.nn.functional.pad(p, (1, 1)).diff(dim=2)
    through_x = (flow_x[:, -1] - flow_x[:, 0]).sum(dim=1)
    through_y = (flow_y[:, :, -1] - flow_y[:, :, 0]).sum(dim=1)
    return flow_x.diff(dim=1) + flow_y.diff(dim=2), through_x + through_y
