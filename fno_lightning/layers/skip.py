"""Connections around a layer."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers.channel_linear import ChannelLinear

SkipName = Literal["linear", "identity", "soft-gating"]


class SoftGating(nn.Module):
    """Scales each channel by a learned factor, 1 at first; channels last.

    Args:
        channels: Channels of the input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Float[Tensor, "batch *grid channel"]) -> Float[Tensor, "batch *grid channel"]:
        """Scales the channels, in the precision of the input."""
        return x * self.weight.to(x.dtype)


def skip_connection(name: SkipName, channels: int) -> nn.Module:
    """A connection of the given kind; the linear one has no bias, since the layer beside it has one."""
    if name == "linear":
        return ChannelLinear(channels, channels, bias=False)
    return SoftGating(channels) if name == "soft-gating" else nn.Identity()
