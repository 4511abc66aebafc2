"""Fourier neural operator between point clouds, through a latent grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers import BasisName, ChannelMLP, KernelMean, NearestPoints, cell_corners
from fno_lightning.models.fno import FNO


class GeometryFNO(nn.Module):
    r"""Operator between functions on scattered points: to a latent grid, an FNO there, and back to the points.

    .. math:: y = P\big(Q x,\ K_{back} \circ \mathrm{FNO} \circ K_{to} \circ Q\, x\big)

    Q lifts the channels of every point. :math:`K_{to}` is a kernel mean over the points nearest to each node of the
    grid, in which points count by their weight, :math:`K_{back}` one over the nodes around each point, that is
    multilinear interpolation with a learned kernel. The FNO sees too how near the nearest point is to a node, and so
    where the domain ends. Any number of points goes, in any order.

    Args:
        n_modes: Modes of the FNO along each axis of the latent grid, both signs counted.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        latent_grid: Nodes of the latent grid along each coordinate, over the unit box and its margin.
        hidden_channels: Channels of the points and of the FNO.
        n_layers: Blocks of the FNO.
        n_neighbours: Points that each node of the grid takes a mean over.
        kernel_channels: Hidden channels of the kernels.
        margin: Part of the box's length that the grid reaches beyond it at either side.
        bases: Basis of each axis of the latent grid, ``fourier`` or ``cosine``; ``None``: cosines, for a box that is
            not periodic.
        **options: Others of :class:`~fno_lightning.models.FNO`.

    Raises:
        ValueError: if ``latent_grid`` does not have one number, at least 2, for each of ``n_modes``, or
            ``n_neighbours`` or ``margin`` is out of range; in the forward pass, if the parts do not fit.

    Good values: a latent grid whose spacing is that of the points or twice as large; ``n_modes`` half of it.
    Reference: Li et al. 2023, arXiv:2309.00583 (GINO), which takes all points within a radius.

    >>> network = GeometryFNO((4, 4), in_channels=3, out_channels=1, latent_grid=(8, 8), hidden_channels=8)
    >>> network(torch.zeros(2, 3, 50), torch.rand(2, 50, 2), torch.ones(2, 50)).shape
    torch.Size([2, 1, 50])
    """

    def __init__(
        self,
        n_modes: Sequence[int],
        in_channels: int,
        out_channels: int,
        latent_grid: Sequence[int],
        hidden_channels: int = 32,
        n_layers: int = 4,
        *,
        n_neighbours: int = 8,
        kernel_channels: int = 32,
        margin: float = 0.05,
        bases: Sequence[BasisName] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if len(latent_grid) != len(n_modes) or min(latent_grid) < 2:
            raise ValueError(
                f"latent_grid {list(latent_grid)} needs one number of nodes, at least 2, for each of n_modes "
                f"{list(n_modes)}"
            )
        if n_neighbours < 1 or not 0 <= margin < float("inf"):
            raise ValueError(f"n_neighbours is at least 1 and margin at least 0, got {n_neighbours} and {margin}")
        self.in_channels = in_channels
        self.latent_grid = tuple(latent_grid)
        self.margin = margin
        n_dims = len(n_modes)
        self.lifting = ChannelMLP(in_channels, 2 * hidden_channels, hidden_channels)
        self.nearest = NearestPoints(n_neighbours)
        self.to_grid = KernelMean(hidden_channels, n_dims, kernel_channels)
        bases = ["cosine"] * n_dims if bases is None else bases
        self.fno = FNO(n_modes, hidden_channels + 1, hidden_channels, hidden_channels, n_layers, bases=bases, **options)
        self.to_points = KernelMean(hidden_channels, n_dims, kernel_channels)
        self.projection = ChannelMLP(2 * hidden_channels, 2 * hidden_channels, out_channels)

    def forward(
        self,
        x: Float[Tensor, "batch in_channels point"],
        positions: Float[Tensor, "batch point dim"],
        weight: Float[Tensor, "batch point"],
    ) -> Float[Tensor, "batch out_channels point"]:
        """Apply the operator.

        Args:
            x: Values at the points.
            positions: Coordinates of the points, from 0 to 1 in the box of the domain.
            weight: What each point stands for in a mean over the domain; 0 for padding, which nothing depends on.
        """
        if not torch.compiler.is_compiling():
            self._check(x, positions)
        lifted = self.lifting(x.mT)
        nodes, spacing = self._nodes(positions)
        neighbours, nearness = self.nearest(nodes, positions, weight, spacing)
        on_grid = torch.cat((self.to_grid(lifted, neighbours), nearness.to(lifted.dtype)[..., None]), dim=-1)
        latent = self.fno(torch.unflatten(on_grid.mT, -1, self.latent_grid)).flatten(2).mT
        back = self.to_points(latent, cell_corners((positions + self.margin) / spacing, self.latent_grid))
        y: Tensor = self.projection(torch.cat((lifted, back), dim=-1))
        return y.mT

    def _nodes(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the nodes of the latent grid ``(node, dim)`` and their distance along each coordinate."""
        edges = -self.margin, 1 + self.margin
        axes = [torch.linspace(*edges, n, device=like.device, dtype=like.dtype) for n in self.latent_grid]
        spacing = like.new_tensor([(edges[1] - edges[0]) / (n - 1) for n in self.latent_grid])
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, -2), spacing

    def _check(self, x: Tensor, positions: Tensor) -> None:
        expected = (len(x), x.shape[-1], len(self.latent_grid))
        if x.ndim != 3 or x.shape[1] != self.in_channels or tuple(positions.shape) != expected:
            raise ValueError(
                f"expected values of shape (batch, {self.in_channels}, point) at positions (batch, point, "
                f"{len(self.latent_grid)}), got {tuple(x.shape)} and {tuple(positions.shape)}"
            )
