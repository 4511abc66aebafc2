"""One layer of a Fourier neural operator."""

from __future__ import annotations

from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers.channel_mlp import ChannelMLP, SkipName, skip_connection
from fno_lightning.layers.conditioning import FiLM
from fno_lightning.layers.kernels.activation import gelu
from fno_lightning.layers.kernels.tiling import tiled
from fno_lightning.layers.norm import NormName, norm_layer
from fno_lightning.layers.spectral_conv import SpectralConv


class FNOBlock(nn.Module):
    r"""Spectral convolution and channel perceptron, each with a connection around it; channels last.

    .. math::
        h &= \sigma(\mathrm{norm}(\mathrm{conv}(x) + \mathrm{local}(x)) + \mathrm{skip}(x)) \\
        y &= \sigma(\mathrm{norm}(\mathrm{mlp}(h) + \mathrm{mlp\_skip}(x)))

    with σ = GELU. Both connections start at the block's input.

    Args:
        conv: Spectral convolution that keeps the number of channels.
        channels: Channels of the input and of the output.
        skip: Connection around the convolution: ``linear``, ``identity``, ``soft-gating`` or ``None``.
        use_channel_mlp: Apply the second line above.
        channel_mlp_expansion: Hidden channels of the perceptron over channels of the block.
        channel_mlp_dropout: Dropout of the perceptron.
        channel_mlp_skip: Connection around convolution and perceptron.
        norm: Normalisation: ``instance_norm``, ``group_norm``, ``layer_norm`` or ``None``.
        activate: Apply σ; the last block of a network leaves it out.
        final_activation: Apply the second σ, without a perceptron too, as neuralop 2 does; without it and the
            perceptron a block is that of the first FNOs.
        local: Operator over neighbouring points, beside the convolution; ``None``: none.
        film: Scale and shift, by parameters of each sample, of what the first σ acts on; ``None``: none.

    Attributes:
        tiling: Evaluate everything but the convolution and the local operator tile by tile, like :class:`ChannelMLP`.
            Dropout and norms over the grid exclude it.

    Reference: Li et al. 2021, arXiv:2010.08895; with the perceptron, Kossaifi et al. 2024, arXiv:2310.00120.
    """

    def __init__(
        self,
        conv: nn.Module,
        channels: int,
        *,
        skip: SkipName | None = "linear",
        use_channel_mlp: bool = True,
        channel_mlp_expansion: float = 0.5,
        channel_mlp_dropout: float = 0.0,
        channel_mlp_skip: SkipName | None = "soft-gating",
        norm: NormName | None = None,
        activate: bool = True,
        final_activation: bool = True,
        local: nn.Module | None = None,
        film: FiLM | None = None,
    ) -> None:
        super().__init__()
        self.conv = conv
        self.local = local
        self.film = film
        self.is_modulated = isinstance(conv, SpectralConv) and conv.modulation is not None
        self.skip = skip_connection(skip, channels) if skip else None
        hidden_channels = round(channels * channel_mlp_expansion)
        self.mlp = (
            ChannelMLP(channels, hidden_channels, channels, dropout=channel_mlp_dropout) if use_channel_mlp else None
        )
        if self.mlp is not None:
            self.mlp.tiling = False  # it is evaluated within the tiles of the block
        self.mlp_skip = skip_connection(channel_mlp_skip, channels) if use_channel_mlp and channel_mlp_skip else None
        self.conv_norm = norm_layer(norm, channels) if norm else nn.Identity()
        self.mlp_norm = norm_layer(norm, channels) if norm else nn.Identity()
        self.norm = norm
        self.activate = activate
        self.final_activation = final_activation
        self.tiling = True

    def forward(
        self,
        x: Float[Tensor, "batch *grid channel"],
        conditions: Float[Tensor, "batch *one condition"] | None = None,
    ) -> Float[Tensor, "batch *grid channel"]:
        """Apply the block.

        Args:
            x: Input.
            conditions: Parameters of each sample; only with ``film``, or a convolution that they modulate.
        """
        spectral = self.conv(x, conditions) if self.is_modulated else self.conv(x)
        if self.local is not None:
            spectral = spectral + self.local(x)
        film = () if self.film is None else self.film(conditions)
        if self.tiling and self._acts_on_points:
            return tiled(self._combine, [x, spectral], self._pointwise_parameters(), film)
        return self._combine(x, spectral, *film)

    @property
    def _acts_on_points(self) -> bool:
        """Whether all but the convolution acts on each point by itself, and without randomness."""
        is_random = self.mlp is not None and self.mlp.dropout > 0
        return not is_random and self.norm in (None, "layer_norm")

    def _pointwise_parameters(self) -> Iterator[Tensor]:
        yield from self.parameters(recurse=False)
        for child in self.children():
            if child not in (self.conv, self.local, self.film):
                yield from child.parameters()

    def _combine(
        self,
        x: Float[Tensor, "*point channel"],
        spectral: Float[Tensor, "*point channel"],
        scale: Tensor | None = None,
        shift: Tensor | None = None,
    ) -> Float[Tensor, "*point channel"]:
        h = self.conv_norm(spectral)
        if self.skip is not None:
            h = h + self.skip(x)
        if scale is not None and shift is not None:
            h = h * scale + shift
        h = self._activation(h)
        if self.mlp is not None:
            h = self.mlp(h)
        if self.mlp_skip is not None:
            h = h + self.mlp_skip(x)
        h = self.mlp_norm(h)
        return self._activation(h) if self.final_activation else h

    def _activation(self, x: Tensor) -> Tensor:
        return gelu(x) if self.activate else x
