"""Normalisation of fields, channels last."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.weighted_means import variance_and_mean

NormName = Literal["instance_norm", "group_norm", "layer_norm"]


class InstanceNorm(nn.Module):
    """Normalisation of each channel of each sample over the grid, to zero mean and unit variance.

    Args:
        eps: Added to the variance.
    """

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Float[Tensor, "batch *grid channel"]) -> Float[Tensor, "batch *grid channel"]:
        """Normalise over the grid."""
        return _standardised(x, tuple(range(1, x.ndim - 1)), self.eps)


class GroupNorm(nn.Module):
    """Normalisation of each sample over grid and channels, then a learned scale and shift of each channel.

    Args:
        channels: Channels of the input.
        eps: Added to the variance.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "batch *grid channel"]) -> Float[Tensor, "batch *grid channel"]:
        """Normalise over grid and channels."""
        standardised = _standardised(x, tuple(range(1, x.ndim)), self.eps)
        return standardised * self.weight.to(x.dtype) + self.bias.to(x.dtype)


def norm_layer(name: NormName, channels: int) -> nn.Module:
    """Return a normalisation of the given kind; ``layer_norm`` is over the channels of each point."""
    if name == "instance_norm":
        return InstanceNorm()
    return GroupNorm(channels) if name == "group_norm" else nn.LayerNorm(channels)


def _standardised(x: Tensor, dims: tuple[int, ...], eps: float) -> Tensor:
    single = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    variance, mean = variance_and_mean(single, dims)
    return ((single - mean) * torch.rsqrt(variance + eps)).to(x.dtype)
