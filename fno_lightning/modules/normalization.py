"""Normalisation that travels inside the checkpoint."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

_SMALLEST_RELATIVE_STD = 1e-6


class ZScore(nn.Module):
    r"""Maps physical units to zero mean and unit spread, channel by channel, and back.

    .. math:: \hat u_c = (u_c - \mu_c) / \sigma_c

    The statistics are buffers, so they are saved with the weights. Until :meth:`fit` is called the map is the identity.
    A channel that does not vary (σ below 1e-6 of its mean) is only shifted.

    Args:
        n_channels: Number of channels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_channels))
        self.register_buffer("std", torch.ones(n_channels))

    def fit(self, mean: Float[Tensor, " channel"], std: Float[Tensor, " channel"]) -> None:
        """Takes over the statistics of the train split."""
        self.mean.copy_(mean)
        varies = std > _SMALLEST_RELATIVE_STD * mean.abs()
        self.std.copy_(torch.where(varies, std, torch.ones_like(std)))

    def encode(self, fields: Float[Tensor, ...], n_dims: int) -> Float[Tensor, ...]:
        """Normalises ``(..., channel, *grid)`` with ``n_dims`` grid axes."""
        return (fields - self._over_grid(self.mean, n_dims)) / self._over_grid(self.std, n_dims)

    def decode(self, fields: Float[Tensor, ...], n_dims: int) -> Float[Tensor, ...]:
        """Inverts :meth:`encode`."""
        return fields * self._over_grid(self.std, n_dims) + self._over_grid(self.mean, n_dims)

    @staticmethod
    def _over_grid(statistic: Tensor, n_dims: int) -> Tensor:
        return statistic.view(-1, *(1,) * n_dims)
