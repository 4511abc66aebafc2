"""U-shaped neural operators as LightningModules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from fno_lightning.arguments import plain
from fno_lightning.data import FieldSpec
from fno_lightning.layers import BasisName, NormName
from fno_lightning.models import UNO
from fno_lightning.modules.spectral import SpectralModule


class UNOModule(SpectralModule):
    """Forecasts with a U-shaped neural operator, :class:`~fno_lightning.models.UNO`.

    Args:
        spec: Description of the data set; from the command line it comes from the datamodule.
        n_modes: Modes to keep along each axis at every level, both signs counted.
        hidden_channels: Channels of the blocks on the finest grid; they double from grid to grid.
        n_levels: Number of grids, each with half the points of the one before.
        bases: Basis of each axis, see :class:`~fno_lightning.modules.FNOModule`.
        positional_embedding: ``grid`` appends the coordinates of each point to the input; ``None`` does not; with
            ``patching``, its ``positions`` decide.
        norm: Normalisation in the blocks: ``instance_norm``, ``group_norm``, ``layer_norm`` or ``None``.
        channel_mlp_expansion: Hidden channels of the blocks' perceptrons over channels of the block.
        **kwargs: Options of every forecast, see :class:`~fno_lightning.modules.ForecastModule`.

    Raises:
        ValueError: if ``n_modes`` or ``bases`` do not have one entry for each axis of the data, or the points of an
            axis are not those of its basis.
    """

    def __init__(
        self,
        spec: FieldSpec | dict[str, Any],
        n_modes: Sequence[int],
        hidden_channels: int = 32,
        n_levels: int = 3,
        *,
        bases: Literal["auto"] | Sequence[BasisName] | None = None,
        positional_embedding: Literal["grid"] | None = "grid",
        norm: NormName | None = None,
        channel_mlp_expansion: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(spec, n_modes, bases, **kwargs)
        self.network_arguments: dict[str, Any] = {
            "n_modes": self.n_modes,
            "hidden_channels": plain(hidden_channels, "hidden_channels"),
            "n_levels": plain(n_levels, "n_levels"),
            "bases": self.bases,
            "positional_embedding": positional_embedding if self.patching is None else None,
            "norm": norm,
            "channel_mlp_expansion": plain(channel_mlp_expansion, "channel_mlp_expansion"),
        }

    def build_network(self) -> UNO:
        """Build the operator."""
        return UNO(in_channels=self.in_channels, out_channels=self.out_channels, **self.network_arguments)
