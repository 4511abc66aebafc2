"""Kernels over the neighbours of scattered points: from points to the nodes of a grid, and back."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fno_lightning.derivatives.point_cloud import DISTANCES_AT_ONCE
from fno_lightning.layers.channel_mlp import ChannelMLP


class Neighbours(NamedTuple):
    """Neighbours of places.

    Attributes:
        number: Number of each neighbour among the points that have values.
        share: What each contributes; the shares of a place add up to 1.
        offset: From the place to the neighbour, in units of the spacing of the grid.
    """

    number: Int[Tensor, "batch place neighbour"]
    share: Float[Tensor, "batch place neighbour"]
    offset: Float[Tensor, "batch place neighbour dim"]


class KernelMean(nn.Module):
    r"""Mean over the neighbours of a place, with a learned kernel of where each lies.

    .. math:: y(p) = \sum_j s_j \, (1 + \kappa(x_j - p)) \odot v_j

    with the shares s of :class:`Neighbours` and a perceptron :math:`\kappa` from offsets to channels. Shares that are
    parts of the domain make it a kernel integral, the same for every set of points as these become dense.

    Args:
        channels: Channels of the values.
        n_dims: Number of coordinates.
        kernel_channels: Hidden channels of the perceptron.

    Reference: Li et al. 2020, arXiv:2003.03485 (graph kernel network).
    """

    def __init__(self, channels: int, n_dims: int, kernel_channels: int) -> None:
        super().__init__()
        self.kernel = ChannelMLP(n_dims, kernel_channels, channels)

    def forward(
        self, values: Float[Tensor, "batch point channel"], neighbours: Neighbours
    ) -> Float[Tensor, "batch place channel"]:
        """Return the mean at each place."""
        index, share, offset = neighbours
        n_samples, n_points, n_channels = values.shape
        rows = index + n_points * torch.arange(n_samples, device=index.device)[:, None, None]
        found = values.reshape(-1, n_channels).index_select(0, rows.flatten()).view(*index.shape, n_channels)
        kernel = self.kernel(offset.to(values.dtype))
        mean: Tensor = (share.to(values.dtype)[..., None] * (1 + kernel) * found).sum(dim=2)
        return mean


class NearestPoints(nn.Module):
    r"""The points nearest to each place, with shares that fall with the distance.

    .. math:: s_j \propto w_j \exp(-\beta |x_j - p|^2 / h^2)

    with w the weight of a point, h the spacing of the places and a learned β.

    Args:
        n_neighbours: Number of points for each place.
    """

    def __init__(self, n_neighbours: int) -> None:
        super().__init__()
        self.n_neighbours = n_neighbours
        self.log_sharpness = nn.Parameter(torch.zeros(()))

    def forward(
        self,
        places: Float[Tensor, "place dim"],
        points: Float[Tensor, "batch point dim"],
        weight: Float[Tensor, "batch point"],
        spacing: Float[Tensor, " dim"],
    ) -> tuple[Neighbours, Float[Tensor, "batch place"]]:
        """Return the neighbours of each place, and how near the nearest is: 1 at the place, towards 0 far away.

        Points whose weight is 0 are no neighbours.
        """
        index = _nearest(places / spacing, points / spacing, weight, self.n_neighbours)
        batch = torch.arange(len(points), device=points.device)[:, None, None]
        offset = (points[batch, index] - places[:, None]) / spacing
        squares = offset.square().sum(dim=-1)
        logits = weight[batch, index].log() - self.log_sharpness.exp() * squares
        return Neighbours(index, logits.softmax(dim=-1), offset), torch.exp(-squares[..., 0])


@torch.no_grad()
def _nearest(places: Tensor, points: Tensor, weight: Tensor, n_neighbours: int) -> Tensor:
    """Return the numbers of the nearest points with a weight, the nearest first."""
    n_neighbours = min(n_neighbours, points.shape[1])
    rows = len(places)
    if not torch.compiler.is_compiling():  # which would compile anew for each number of parts
        rows = max(1, DISTANCES_AT_ONCE // (points.shape[0] * points.shape[1]))
    absent = (weight <= 0)[:, None]
    found = []
    for first in range(0, len(places), rows):
        distance = torch.cdist(places[first : first + rows].expand(len(points), -1, -1), points)
        found.append(distance.masked_fill(absent, torch.inf).topk(n_neighbours, largest=False).indices)
    return torch.cat(found, dim=1)


def cell_corners(places: Float[Tensor, "batch place dim"], grid: Sequence[int]) -> Neighbours:
    """Return the corners of the grid's cell that each place lies in, with the shares of multilinear interpolation.

    Args:
        places: Coordinates in nodes of the grid, from 0 to n - 1 along each axis; others are moved to its edge.
        grid: Number of nodes along each axis, at least 2.
    """
    most = places.new_tensor([n - 1 for n in grid])
    places = torch.minimum(places.clamp(min=0), most)
    lower = torch.minimum(places.floor(), most - 1)
    corners = places.new_tensor(list(itertools.product((0, 1), repeat=len(grid))))
    nodes = lower[:, :, None] + corners
    offset = nodes - places[:, :, None]
    strides = torch.tensor([math.prod(grid[axis + 1 :]) for axis in range(len(grid))], device=places.device)
    return Neighbours((nodes.long() * strides).sum(dim=-1), (1 - offset.abs()).prod(dim=-1), offset)
