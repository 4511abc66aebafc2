"""Perceptron over the channels of each point, and connections around a layer."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers.kernels.linear import affine, affine_gelu
from fno_lightning.layers.kernels.tiling import tiled

SkipName = Literal["linear", "identity", "soft-gating"]


class ChannelLinear(nn.Linear):
    """Linear layer over the channels of every point; on a CPU faster than :class:`torch.nn.Linear` for many points."""

    def forward(self, x: Float[Tensor, "*point in_features"]) -> Float[Tensor, "*point out_features"]:
        """Apply the layer to every point."""
        return affine(x, self.weight, self.bias)

    def activated(self, x: Float[Tensor, "*point in_features"]) -> Float[Tensor, "*point out_features"]:
        """Apply the layer and GELU."""
        return affine_gelu(x, self.weight, self.bias)


class SoftGating(nn.Module):
    """Scale of each channel by a learned factor, 1 at first; channels last.

    Args:
        channels: Channels of the input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Float[Tensor, "batch *grid channel"]) -> Float[Tensor, "batch *grid channel"]:
        """Scale the channels, in the precision of the input."""
        return x * self.weight.to(x.dtype)


def skip_connection(name: SkipName, channels: int) -> nn.Module:
    """Return a connection of the given kind; the linear one has no bias, because the layer beside it has one."""
    if name == "linear":
        return ChannelLinear(channels, channels, bias=False)
    return SoftGating(channels) if name == "soft-gating" else nn.Identity()


class ChannelMLP(nn.Module):
    """Two linear layers with GELU between them, the same at every point; channels last.

    Args:
        in_channels: Channels of the input.
        hidden_channels: Channels between the layers; 0 leaves one linear layer.
        out_channels: Channels of the output.
        dropout: Probability of dropping a channel value after GELU and at the end.

    Attributes:
        tiling: Evaluate large fields tile by tile, and again in the backward pass, where that is as fast (on a CPU, in
            float32, not compiled); it takes less memory. Dropout excludes it.
    """

    def __init__(self, in_channels: int, hidden_channels: int, out_channels: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        sizes = [in_channels, hidden_channels, out_channels] if hidden_channels else [in_channels, out_channels]
        self.layers = nn.ModuleList(ChannelLinear(n, m) for n, m in pairwise(sizes))
        self.dropout = dropout
        self.tiling = True

    def forward(self, x: Float[Tensor, "batch *grid in_channels"]) -> Float[Tensor, "batch *grid out_channels"]:
        """Apply the perceptron to every point."""
        if self.tiling and not self.dropout:
            return tiled(self._at_points, [x], self.parameters())
        return self._at_points(x)

    def _at_points(self, x: Float[Tensor, "*point in_channels"]) -> Float[Tensor, "*point out_channels"]:
        *hidden_layers, last_layer = self.layers
        for layer in hidden_layers:
            x = self._dropped(cast("ChannelLinear", layer).activated(x))
        return self._dropped(last_layer(x))

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x
