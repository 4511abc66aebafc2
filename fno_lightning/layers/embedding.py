"""Positional embedding."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class GridEmbedding(nn.Module):
    """Appends one channel for each axis: the position, from 0 at the first point to 1, excluded; channels last."""

    def forward(self, x: Float[Tensor, "batch *grid channel"]) -> Float[Tensor, "batch *grid channel_and_position"]:
        """Appends the coordinates after the channels."""
        batch, *grid, _ = x.shape
        dtype = torch.promote_types(x.dtype, torch.float32)
        axes = [torch.arange(n, device=x.device, dtype=dtype) / n for n in grid]
        position = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).to(x.dtype)
        return torch.cat([x, position.expand(batch, *position.shape)], dim=-1)
