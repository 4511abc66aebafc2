"""Perceptron over the channels of each point."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers.channel_linear import ChannelLinear


class ChannelMLP(nn.Module):
    """Two linear layers with GELU between them, the same at every point; channels last.

    Args:
        in_channels: Channels of the input.
        hidden_channels: Channels between the layers; 0 leaves one linear layer.
        out_channels: Channels of the output.
        dropout: Probability of dropping a channel value after GELU and at the end.
    """

    def __init__(self, in_channels: int, hidden_channels: int, out_channels: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        sizes = [in_channels, hidden_channels, out_channels] if hidden_channels else [in_channels, out_channels]
        self.layers = nn.ModuleList(ChannelLinear(n, m) for n, m in pairwise(sizes))
        self.dropout = dropout

    def forward(self, x: Float[Tensor, "batch *grid in_channels"]) -> Float[Tensor, "batch *grid out_channels"]:
        """Applies the perceptron to every point."""
        *hidden_layers, last_layer = self.layers
        for layer in hidden_layers:
            x = self._dropped(cast("ChannelLinear", layer).activated(x))
        return self._dropped(last_layer(x))

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x
