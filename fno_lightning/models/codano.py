"""Codomain-attention neural operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers import (
    BasisName,
    ChannelMLP,
    CodomainAttention,
    FNOBlock,
    GridEmbedding,
    NormName,
    SpectralConv,
)


class CODANO(nn.Module):
    r"""Neural operator in which every field is a token: attention between fields, and an FNO block for each of them.

    A token is a field's past frames, a constant field or a constant plane, with the position and a vector that is
    learned for its name. All fields share all other weights, so that one network takes any number of them: a field more
    is a vector more. The output are the fields that are forecast, in the order of the input; another order of the input
    gives the same in that order.

    .. math:: h = x + \mathrm{attention}(x), \qquad y_f = \mathrm{block}(h_f)

    with :class:`~fno_lightning.layers.CodomainAttention` and :class:`~fno_lightning.layers.FNOBlock`.

    Args:
        n_modes: Modes to keep along each axis, both signs counted.
        n_fields: Fields that are forecast.
        n_frames: Frames of each field in the input; 0 for a steady problem.
        n_constants: Further tokens of the input, of one frame each.
        out_frames: Frames of each field in the output.
        hidden_channels: Channels of each token.
        n_layers: Number of layers.
        n_heads: Heads of the attention; they share out the channels.
        embedding_channels: Length of the vector of each name.
        bases: Basis of each axis: ``fourier`` for periodic axes, ``cosine`` for axes that end; Fourier by default.
        positional_embedding: ``grid`` appends the coordinates of each point; ``None`` does not.
        norm: Normalisation in the blocks: ``instance_norm``, ``group_norm``, ``layer_norm`` or ``None``.

    Raises:
        ValueError: if ``hidden_channels`` is not a multiple of ``n_heads``, a number is not positive, or, in the
            forward pass, if the input has another number of dimensions or channels.

    Reference: Rahman et al. 2024, arXiv:2403.12553.

    >>> network = CODANO((8, 8), n_fields=3, n_frames=2, n_constants=1, hidden_channels=8, n_layers=1)
    >>> network(torch.zeros(1, 2 * 3 + 1, 16, 16)).shape  # frame by frame, then the constants
    torch.Size([1, 3, 16, 16])
    """

    def __init__(
        self,
        n_modes: Sequence[int],
        n_fields: int,
        n_frames: int,
        n_constants: int = 0,
        out_frames: int = 1,
        hidden_channels: int = 32,
        n_layers: int = 4,
        *,
        n_heads: int = 2,
        embedding_channels: int = 8,
        bases: Sequence[BasisName] | None = None,
        positional_embedding: Literal["grid"] | None = "grid",
        norm: NormName | None = None,
    ) -> None:
        super().__init__()
        least = min(n_fields, out_frames, hidden_channels, n_layers, embedding_channels)
        if least < 1:
            raise ValueError("n_fields, out_frames, hidden_channels, n_layers and embedding_channels must be positive")
        self.n_dims = len(n_modes)
        self.n_fields, self.n_frames, self.n_constants = n_fields, n_frames, n_constants
        self.embedding = nn.Parameter(torch.randn(n_fields + n_constants, embedding_channels))
        self.position = GridEmbedding() if positional_embedding == "grid" else None
        in_channels = max(n_frames, 1) + embedding_channels + (self.n_dims if self.position else 0)
        self.lifting = ChannelMLP(in_channels, 2 * hidden_channels, hidden_channels)
        self.attention = nn.ModuleList(
            CodomainAttention(hidden_channels, n_modes, n_heads, bases=bases) for _ in range(n_layers)
        )
        self.blocks = nn.ModuleList(
            FNOBlock(
                SpectralConv(hidden_channels, hidden_channels, n_modes, bases=bases),
                hidden_channels,
                norm=norm,
                activate=layer < n_layers - 1,
            )
            for layer in range(n_layers)
        )
        self.projection = ChannelMLP(hidden_channels, 2 * hidden_channels, out_frames)

    def forward(self, x: Float[Tensor, "batch in_channels *grid"]) -> Float[Tensor, "batch out_channels *grid"]:
        """Apply the operator.

        Args:
            x: Frames of all fields, frame by frame, then the constants.

        Returns:
            The frames of all fields, frame by frame.
        """
        if not torch.compiler.is_compiling():
            self._check(x)
        tokens = self._tokens(x)
        n_tokens = tokens.shape[1]
        each = self.lifting(tokens if self.position is None else self._with_position(tokens))
        for attention, block in zip(self.attention, self.blocks, strict=True):
            each = each + attention(each)
            each = torch.unflatten(block(each.flatten(0, 1)), 0, (-1, n_tokens))
        y: Tensor = self.projection(each[:, : self.n_fields])
        return y.movedim(-1, 1).flatten(1, 2)

    def _tokens(self, x: Tensor) -> Float[Tensor, "batch token *grid channel"]:
        """Return the frames of each token and the vector of its name."""
        grid, n_channels = x.shape[2:], max(self.n_frames, 1)
        frames, constants = torch.split(x, [self.n_frames * self.n_fields, self.n_constants], dim=1)
        if self.n_frames:
            fields = torch.unflatten(frames, 1, (self.n_frames, self.n_fields)).movedim(1, -1)
        else:
            fields = x.new_zeros(len(x), self.n_fields, *grid, 1)
        repeated = constants.unsqueeze(-1).expand(*constants.shape, n_channels)
        values = torch.cat([fields, repeated], dim=1)
        names = self.embedding.to(x.dtype).view(1, -1, *(1,) * self.n_dims, self.embedding.shape[1])
        return torch.cat([values, names.expand(*values.shape[:-1], -1)], dim=-1)

    def _with_position(self, tokens: Tensor) -> Tensor:
        assert self.position is not None
        return torch.unflatten(self.position(tokens.flatten(0, 1)), 0, tokens.shape[:2])

    def _check(self, x: Tensor) -> None:
        n_channels = self.n_frames * self.n_fields + self.n_constants
        if x.ndim != self.n_dims + 2 or x.shape[1] != n_channels:
            raise ValueError(
                f"expected an input of {self.n_dims} spatial dimensions and {n_channels} channels ({self.n_frames} "
                f"frames of {self.n_fields} fields, {self.n_constants} constants), got {tuple(x.shape)}"
            )
