"""U-shaped neural operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers import BasisName, ChannelLinear, ChannelMLP, FNOBlock, GridEmbedding, NormName, SpectralConv


class UNO(nn.Module):
    r"""U-shaped neural operator: blocks of a Fourier neural operator on ever coarser grids, and back.

    Level l has :math:`2^l` times the channels on a grid of :math:`\lceil N / 2^l \rceil` points along each axis. On the
    way down a block is followed by the mean over cells of the next grid; on the way up, linear interpolation is joined
    with what the level has left behind, mixed, and passed through another block. So features of the whole domain cost
    little, and a point sees its surroundings on every scale. Any number of dimensions up to three, and any grid.

    Args:
        n_modes: Modes to keep along each axis at every level, both signs counted; coarse grids keep what they resolve.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        hidden_channels: Channels of the blocks on the finest grid.
        n_levels: Number of grids.
        bases: Basis of each axis, see :class:`~fno_lightning.layers.SpectralConv`; Fourier by default.
        positional_embedding: ``grid`` appends the coordinates of each point to the input; ``None`` does not.
        norm: Normalisation in the blocks: ``instance_norm``, ``group_norm``, ``layer_norm`` or ``None``.
        channel_mlp_expansion: Hidden channels of the blocks' perceptrons over channels of the block.

    Raises:
        ValueError: if ``n_modes`` has not one to three entries, a number is not positive, or, in the forward pass, the
            input has another number of dimensions or of channels, or too few points for the coarsest grid.

    Reference: Rahman et al. 2022, arXiv:2204.11127, with grids halved by local means, not by their spectra.

    >>> network = UNO(n_modes=(8, 8), in_channels=3, out_channels=2, hidden_channels=8)
    >>> network(torch.zeros(1, 3, 32, 25)).shape
    torch.Size([1, 2, 32, 25])
    """

    def __init__(
        self,
        n_modes: Sequence[int],
        in_channels: int,
        out_channels: int,
        hidden_channels: int = 32,
        n_levels: int = 3,
        *,
        bases: Sequence[BasisName] | None = None,
        positional_embedding: Literal["grid"] | None = "grid",
        norm: NormName | None = None,
        channel_mlp_expansion: float = 0.5,
    ) -> None:
        super().__init__()
        if not 1 <= len(n_modes) <= 3:
            raise ValueError(f"n_modes {list(n_modes)} must have one entry for each of one to three axes")
        if hidden_channels < 1 or n_levels < 1:
            raise ValueError(f"hidden_channels and n_levels must be at least 1, got {hidden_channels} and {n_levels}")
        self.n_dims, self.in_channels, self.n_levels = len(n_modes), in_channels, n_levels
        widths = [hidden_channels * 2**level for level in range(n_levels)]

        def block(width: int) -> FNOBlock:
            conv = SpectralConv(width, width, n_modes, bases=bases)
            return FNOBlock(conv, width, norm=norm, channel_mlp_expansion=channel_mlp_expansion)

        self.embedding = GridEmbedding() if positional_embedding == "grid" else None
        n_lifted = in_channels + (self.n_dims if self.embedding else 0)
        self.lifting = ChannelMLP(n_lifted, 2 * hidden_channels, hidden_channels)
        self.down = nn.ModuleList(block(width) for width in widths)
        self.widen = nn.ModuleList(ChannelLinear(n, 2 * n) for n in widths[:-1])
        self.join = nn.ModuleList(ChannelLinear(3 * n, n) for n in widths[:-1])
        self.up = nn.ModuleList(block(width) for width in widths[:-1])
        self.projection = ChannelMLP(hidden_channels, 2 * hidden_channels, out_channels)

    def forward(self, x: Float[Tensor, "batch in_channels *grid"]) -> Float[Tensor, "batch out_channels *grid"]:
        """Apply the operator."""
        if not torch.compiler.is_compiling():
            self._check(x)
        x = x.movedim(1, -1)
        x = self.lifting(x if self.embedding is None else self.embedding(x))
        left: list[Tensor] = []
        for level, block in enumerate(self.down):
            if level:
                left.append(x)
                x = self.widen[level - 1](_resampled(x, [-(-n // 2) for n in x.shape[1:-1]], "area"))
            x = block(x)
        for level in reversed(range(self.n_levels - 1)):
            finer = left[level]
            interpolated = _resampled(x, finer.shape[1:-1], ("linear", "bilinear", "trilinear")[self.n_dims - 1])
            x = self.up[level](self.join[level](torch.cat((finer, interpolated), dim=-1)))
        y: Tensor = self.projection(x)
        return y.movedim(-1, 1)

    def _check(self, x: Tensor) -> None:
        if x.ndim != self.n_dims + 2 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"expected an input of shape (batch, {self.in_channels} channels, {self.n_dims} axes), got "
                f"{tuple(x.shape)}: the number of axes is the length of n_modes"
            )
        if min(x.shape[2:]) < 2 ** (self.n_levels - 1):
            raise ValueError(
                f"a grid of {tuple(x.shape[2:])} points cannot be halved {self.n_levels - 1} times: choose a smaller "
                "n_levels"
            )


def _resampled(x: Tensor, grid: Sequence[int], mode: str) -> Tensor:
    """Return a field, channels last, on another grid."""
    return F.interpolate(x.movedim(-1, 1), size=list(grid), mode=mode).movedim(1, -1)
