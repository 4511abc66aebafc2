"""The tensorised Fourier neural operator as a LightningModule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from fno_lightning.data import FieldSpec
from fno_lightning.models import TFNO
from fno_lightning.modules.fno import FNOModule


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
