"""Tensorised Fourier neural operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from fno_lightning.layers import BasisName, NormName, SkipName
from fno_lightning.models.fno import FNO


class TFNO(FNO):
    """Fourier neural operator with low-rank spectral weights: a Tucker decomposition with 10 % of the parameters.

    Args:
        n_modes: Modes to keep along each axis, both signs counted; their number is the number of dimensions.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        hidden_channels: Channels of the blocks.
        n_layers: Number of blocks.
        factorization: Low rank of the spectral weights: ``tucker``, ``cp`` or ``tt`` (tensor train).
        rank: Fraction of the parameters of a dense weight to keep (float), or ranks (int, or one for each axis).
        implementation: ``factorized`` or ``reconstructed`` low-rank weights,
            see :class:`~fno_lightning.layers.LowRankWeight`.
        bases: See :class:`FNO`.
        lifting_channel_ratio: See :class:`FNO`.
        projection_channel_ratio: See :class:`FNO`.
        positional_embedding: See :class:`FNO`.
        norm: See :class:`FNO`.
        use_channel_mlp: See :class:`FNO`.
        channel_mlp_dropout: See :class:`FNO`.
        channel_mlp_expansion: See :class:`FNO`.
        channel_mlp_skip: See :class:`FNO`.
        fno_skip: See :class:`FNO`.
        domain_padding: See :class:`FNO`.

    Reference: Kossaifi et al. 2024, arXiv:2310.00120.
    """

    def __init__(
        self,
        n_modes: Sequence[int],
        in_channels: int,
        out_channels: int,
        hidden_channels: int = 64,
        n_layers: int = 4,
        *,
        factorization: Literal["tucker", "cp", "tt"] = "tucker",
        rank: int | float | Sequence[int] = 0.1,
        implementation: Literal["factorized", "reconstructed"] = "factorized",
        bases: Sequence[BasisName] | None = None,
        lifting_channel_ratio: float = 2.0,
        projection_channel_ratio: float = 2.0,
        positional_embedding: Literal["grid"] | None = "grid",
        norm: NormName | None = None,
        use_channel_mlp: bool = True,
        channel_mlp_dropout: float = 0.0,
        channel_mlp_expansion: float = 0.5,
        channel_mlp_skip: SkipName | None = "soft-gating",
        fno_skip: SkipName | None = "linear",
        domain_padding: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(
            n_modes,
            in_channels,
            out_channels,
            hidden_channels,
            n_layers,
            bases=bases,
            lifting_channel_ratio=lifting_channel_ratio,
            projection_channel_ratio=projection_channel_ratio,
            positional_embedding=positional_embedding,
            norm=norm,
            use_channel_mlp=use_channel_mlp,
            channel_mlp_dropout=channel_mlp_dropout,
            channel_mlp_expansion=channel_mlp_expansion,
            channel_mlp_skip=channel_mlp_skip,
            fno_skip=fno_skip,
            domain_padding=domain_padding,
            factorization=factorization,
            rank=rank,
            implementation=implementation,
        )
