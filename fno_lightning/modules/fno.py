"""Fourier neural operators as LightningModules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from fno_lightning.data import FieldSpec
from fno_lightning.layers import BasisName, NormName, SkipName
from fno_lightning.models import FNO, TFNO
from fno_lightning.modules.base import ForecastModule


class FNOModule(ForecastModule):
    """Forecasts with a Fourier neural operator, :class:`~fno_lightning.models.FNO`.

    Args:
        spec: See :class:`~fno_lightning.modules.ForecastModule`.
        n_modes: Modes to keep along each axis, both signs counted.
        hidden_channels: Channels of the blocks.
        n_layers: Number of blocks.
        bases: Basis of each axis, ``fourier`` or ``cosine``; ``auto``: Fourier on the periodic axes of the data, cosine
            on the others; ``None``: Fourier. On the simulated turbulent_radiative_layer_2D of 32 x 96 points, whose y
            axis is open, cosine was no better: VRMSE of a step 0.258 against 0.239 after 8 epochs, of a rollout over
            steps 6:12 0.529 against 0.482, one seed, equal numbers of weights.
        lifting_channel_ratio: See :class:`~fno_lightning.models.FNO`.
        projection_channel_ratio: See :class:`~fno_lightning.models.FNO`.
        positional_embedding: See :class:`~fno_lightning.models.FNO`.
        norm: See :class:`~fno_lightning.models.FNO`.
        use_channel_mlp: See :class:`~fno_lightning.models.FNO`.
        channel_mlp_dropout: See :class:`~fno_lightning.models.FNO`.
        channel_mlp_expansion: See :class:`~fno_lightning.models.FNO`.
        channel_mlp_skip: See :class:`~fno_lightning.models.FNO`.
        fno_skip: See :class:`~fno_lightning.models.FNO`.
        domain_padding: See :class:`~fno_lightning.models.FNO`.
        **kwargs: See :class:`~fno_lightning.modules.ForecastModule`.

    Raises:
        ValueError: if ``n_modes`` does not have one entry for each axis of the data.
    """

    def __init__(
        self,
        spec: FieldSpec | dict[str, Any],
        n_modes: Sequence[int],
        hidden_channels: int = 64,
        n_layers: int = 4,
        *,
        bases: Literal["auto"] | Sequence[BasisName] | None = None,
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
        **kwargs: Any,
    ) -> None:
        super().__init__(spec, **kwargs)
        if len(n_modes) != self.spec.n_dims:
            raise ValueError(
                f"n_modes {list(n_modes)} has {len(n_modes)} entries, but the data have {self.spec.n_dims} spatial "
                f"axes (grid {self.spec.grid_shape}): give one number of modes for each"
            )
        self.bases = _bases_for(self.spec) if bases == "auto" else bases
        self.network_arguments: dict[str, Any] = {
            "n_modes": n_modes,
            "hidden_channels": hidden_channels,
            "n_layers": n_layers,
            "bases": self.bases,
            "lifting_channel_ratio": lifting_channel_ratio,
            "projection_channel_ratio": projection_channel_ratio,
            "positional_embedding": positional_embedding,
            "norm": norm,
            "use_channel_mlp": use_channel_mlp,
            "channel_mlp_dropout": channel_mlp_dropout,
            "channel_mlp_expansion": channel_mlp_expansion,
            "channel_mlp_skip": channel_mlp_skip,
            "fno_skip": fno_skip,
            "domain_padding": domain_padding,
        }

    def build_network(self) -> FNO:
        """Returns the operator."""
        return FNO(in_channels=self.in_channels, out_channels=self.out_channels, **self.network_arguments)


def _bases_for(spec: FieldSpec) -> list[BasisName]:
    sides = spec.boundaries or (("periodic", "periodic"),) * spec.n_dims
    return ["fourier" if axis == ("periodic", "periodic") else "cosine" for axis in sides]


class TFNOModule(FNOModule):
    """Forecasts with a tensorised Fourier neural operator, :class:`~fno_lightning.models.TFNO`.

    Args:
        spec: See :class:`~fno_lightning.modules.ForecastModule`.
        n_modes: Modes to keep along each axis, both signs counted.
        factorization: Low rank of the spectral weights: ``tucker``, ``cp`` or ``tt`` (tensor train).
        rank: Fraction of the parameters of a dense weight to keep (float), or ranks (int, or one for each axis).
        implementation: ``factorized`` or ``reconstructed`` low-rank weights.
        **kwargs: See :class:`FNOModule`.
    """

    def __init__(
        self,
        spec: FieldSpec | dict[str, Any],
        n_modes: Sequence[int],
        *,
        factorization: Literal["tucker", "cp", "tt"] = "tucker",
        rank: int | float | Sequence[int] = 0.1,
        implementation: Literal["factorized", "reconstructed"] = "factorized",
        **kwargs: Any,
    ) -> None:
        super().__init__(spec, n_modes, **kwargs)
        self.network_arguments |= {"factorization": factorization, "rank": rank, "implementation": implementation}

    def build_network(self) -> TFNO:
        """Returns the operator."""
        return TFNO(in_channels=self.in_channels, out_channels=self.out_channels, **self.network_arguments)
