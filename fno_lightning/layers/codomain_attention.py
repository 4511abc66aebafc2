"""Attention between the fields of a sample, by inner products of functions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers.basis import Basis
from fno_lightning.layers.channel_mlp import ChannelLinear
from fno_lightning.layers.spectral_conv import BasisName, SpectralConv


class CodomainAttention(nn.Module):
    r"""Attention in which every field of a sample is a token; channels last.

    .. math::
        y_f = M \sum_g \operatorname{softmax}_g \! \left( \frac{\langle q_f, k_g \rangle}{\sqrt{d}} \right) v_g, \qquad
        \langle q, k \rangle = \frac{1}{|D|} \int_D q \cdot k \, \mathrm{d}x

    Queries, keys and values are spectral convolutions of each field's hidden channels, with the same weights for all
    fields; the inner product is the mean over the grid, so that it does not depend on the resolution. M mixes the d
    channels of all heads. The number of fields is free, and their order means nothing.

    Args:
        channels: Hidden channels of each field.
        n_modes: Modes of the convolutions along each axis.
        n_heads: Number of heads, which share out the channels.
        bases: Basis of each axis, see :class:`SpectralConv`.

    Raises:
        ValueError: if ``channels`` is not a multiple of ``n_heads``.

    Reference: Rahman et al. 2024, arXiv:2403.12553, section 4.
    """

    def __init__(
        self,
        channels: int,
        n_modes: Sequence[int],
        n_heads: int = 2,
        *,
        bases: Sequence[BasisName | Basis] | None = None,
    ) -> None:
        super().__init__()
        if n_heads < 1 or channels % n_heads:
            raise ValueError(f"{channels} channels cannot be shared out among {n_heads} heads")
        self.n_heads = n_heads
        self.to_all = SpectralConv(channels, 3 * channels, n_modes, bases=bases)
        self.mix = ChannelLinear(channels, channels)

    def forward(self, x: Float[Tensor, "batch field *grid channel"]) -> Float[Tensor, "batch field *grid channel"]:
        """Return what each field takes from all of them."""
        of_each = torch.unflatten(self.to_all(x.flatten(0, 1)), 0, x.shape[:2])
        heads = torch.unflatten(of_each, -1, (3, self.n_heads, -1)).flatten(2, -4)  # (batch, field, point, 3, head, d)
        query, key, value = heads.movedim(2, -2).unbind(2)  # (batch, field, head, point, d)
        query, key, value = (part.movedim(2, 1).flatten(3) for part in (query, key, value))  # (batch, head, field, ...)
        n_points = math.prod(x.shape[2:-1])
        products = query @ key.mT / (n_points * math.sqrt(x.shape[-1] // self.n_heads))
        taken = products.softmax(dim=-1).to(value.dtype) @ value
        taken = torch.unflatten(taken, 3, (*x.shape[2:-1], -1))  # (batch, head, field, *grid, d)
        mixed: Tensor = self.mix(taken.movedim(1, -2).flatten(-2))
        return mixed
