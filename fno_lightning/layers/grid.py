"""Positional embedding and padding of the grid."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers.legendre import LegendreBasis, legendre_matrices
from fno_lightning.slabs import Slabs, active_slabs, own_points, whole_grid
from fno_lightning.sphere import LatitudeName


class GridEmbedding(nn.Module):
    """Append the position as one channel for each axis, from 0 at the first point to 1, excluded; channels last."""

    def forward(self, x: Float[Tensor, "batch *grid channel"]) -> Float[Tensor, "batch *grid channel_and_position"]:
        """Append the coordinates after the channels."""
        batch, *own, _ = x.shape
        grid = whole_grid(own)
        dtype = torch.promote_types(x.dtype, torch.float32)
        axes = [
            torch.arange(*(own_points(axis) or (0, n)), device=x.device, dtype=dtype) / n for axis, n in enumerate(grid)
        ]
        position = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).to(x.dtype)
        return torch.cat([x, position.expand(batch, *position.shape)], dim=-1)


class HeightEmbedding(nn.Module):
    """Append the sine of the latitude, the height above the equator, to a field on the sphere; channels last.

    It is smooth at the poles, and knows no longitude: a rotation about the axis leaves it as it is.

    Args:
        latitudes: Kind of the points along the first axis.
    """

    def __init__(self, latitudes: LatitudeName) -> None:
        super().__init__()
        self.basis = LegendreBasis(latitudes)

    def forward(
        self, x: Float[Tensor, "batch latitude longitude channel"]
    ) -> Float[Tensor, "batch latitude longitude channel_and_height"]:
        """Append the height after the channels."""
        functions = legendre_matrices(self.basis, "syntheses", x.shape[1], 2, 1, x)
        height = functions[0, 1] / 3**0.5  # of degree 1 and order 0
        return torch.cat([x, height[:, None, None].expand(*x.shape[:-1], 1)], dim=-1)


class DomainPadding(nn.Module):
    """Padding of each axis by zeros at both sides, and its removal; channels last.

    Args:
        fractions: Padding of each axis as a fraction of its number of points, the same at both sides.
    """

    def __init__(self, fractions: Sequence[float]) -> None:
        super().__init__()
        self.fractions = tuple(fractions)

    def forward(self, x: Float[Tensor, "batch *grid channel"]) -> Float[Tensor, "batch *padded channel"]:
        """Pad the grid; of a field that is split, the slabs at the ends of the axis."""
        widths = self._widths(whole_grid(x.shape[1:-1]))
        return F.pad(x, (0, 0, *[width for sides in reversed(widths) for width in sides]))

    def padded_slabs(self) -> Slabs | None:
        """Return the slabs of padded fields; ``None``: fields are whole."""
        slabs = active_slabs()
        return None if slabs is None else slabs.padded(round(self.fractions[slabs.axis] * slabs.n_points))

    def crop(
        self, x: Float[Tensor, "batch *padded channel"], grid: Sequence[int]
    ) -> Float[Tensor, "batch *grid channel"]:
        """Cut the grid of the given shape out of its padding."""
        for axis, (n_points, (before, _)) in enumerate(zip(grid, self._widths(whole_grid(grid)), strict=True), start=1):
            x = x.narrow(axis, before, n_points)
        return x

    def _widths(self, grid: Sequence[int]) -> list[tuple[int, int]]:
        """Return the points before and after each axis of a whole grid, or of the slab of this process."""
        slabs = active_slabs()
        widths = []
        for axis, (fraction, n) in enumerate(zip(self.fractions, grid, strict=True)):
            width = round(fraction * n)
            if slabs is None or slabs.axis != axis:
                widths.append((width, width))
            else:
                widths.append((width * slabs.is_first, width * slabs.is_last))
        return widths
