"""Normalisation that travels inside the checkpoint."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

_SMALLEST_RELATIVE_STD = 1e-6


class ZScore(nn.Module):
    r"""Maps physical units to zero mean and unit spread, channel by channel, and back.

    .. math:: \hat u_c = (u_c - \mu_c) / \sigma_c

    The statistics are buffers, so they are saved with the weights. Until :meth:`fit` is called the map is the identity.
    A channel that does not vary (σ below 1e-6 of its mean) is only shifted.

    Args:
        n_channels: Number of channels.
        n_members: Number of data sets with statistics of their own; 0: there is one set of statistics for all samples.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, n_channels: int, n_members: int = 0) -> None:
        super().__init__()
        shape = (n_members, n_channels) if n_members else (n_channels,)
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))

    def fit(self, mean: Float[Tensor, "*member channel"], std: Float[Tensor, "*member channel"]) -> None:
        """Takes over the statistics of the train split."""
        self.mean.copy_(mean)
        varies = std > _SMALLEST_RELATIVE_STD * mean.abs()
        self.std.copy_(torch.where(varies, std, torch.ones_like(std)))

    def encode(
        self, fields: Float[Tensor, ...], n_dims: int, member: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, ...]:
        """Normalises ``(..., channel, *grid)`` with ``n_dims`` grid axes.

        Args:
            fields: What to normalise; with ``member``, the first axis is that of the samples.
            n_dims: Number of grid axes.
            member: Which data set each sample is from, where these have statistics of their own.
        """
        return (fields - over_grid(self.mean, fields, n_dims, member)) / over_grid(self.std, fields, n_dims, member)

    def decode(
        self, fields: Float[Tensor, ...], n_dims: int, member: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, ...]:
        """Inverts :meth:`encode`."""
        return fields * over_grid(self.std, fields, n_dims, member) + over_grid(self.mean, fields, n_dims, member)


def over_grid(statistic: Tensor, fields: Tensor, n_dims: int, member: Tensor | None) -> Tensor:
    """Shapes a statistic of each channel, or of each member and channel, to act on fields."""
    grid = (1,) * n_dims
    if member is None:
        return statistic.view(-1, *grid)
    between = (1,) * (fields.ndim - n_dims - 2)
    return statistic[member].view(len(fields), *between, -1, *grid)
