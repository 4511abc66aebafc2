"""Fourier neural operator on irregular points as a LightningModule."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Literal

from fno_lightning.arguments import plain, require_list
from fno_lightning.data import FieldSpec
from fno_lightning.layers import BasisName, NormName
from fno_lightning.models import GeometryFNO
from fno_lightning.modules.point_forecast import PointForecastModule


class GeometryFNOModule(PointForecastModule):
    """Forecasts on point clouds and meshes with :class:`~fno_lightning.models.GeometryFNO`, an FNO on a latent grid.

    Args:
        spec: Description of the data set; from the command line it comes from the datamodule.
        n_modes: Modes of the FNO along each axis of the latent grid, both signs counted.
        latent_grid: Nodes of the latent grid along each coordinate.
        hidden_channels: Channels of the points and of the FNO.
        n_layers: Blocks of the FNO.
        n_neighbours: Points that each node of the grid takes a mean over.
        kernel_channels: Hidden channels of the kernels.
        margin: Part of the box's length that the grid reaches beyond it at either side.
        bases: Basis of each axis of the latent grid, ``fourier`` or ``cosine``; ``None``: cosine.
        norm: Normalisation in the blocks: ``instance_norm``, ``group_norm``, ``layer_norm`` or ``None``.
        domain_padding: Zeros to add at both sides of each axis of the latent grid, as a fraction of its nodes.
        factorization: Low rank of the spectral weights: ``tucker``, ``cp``, ``tt`` (tensor train) or ``None`` (dense).
        rank: Fraction of the parameters of a dense weight to keep (float), or ranks (int, or one for each axis).
        **kwargs: Options of every forecast, see :class:`~fno_lightning.modules.PointForecastModule`.

    Raises:
        ValueError: if ``n_modes`` or ``latent_grid`` do not have one entry for each coordinate of the data, or these
            are fields on a grid.
    """

    def __init__(
        self,
        spec: FieldSpec | dict[str, Any],
        n_modes: Sequence[int],
        latent_grid: Sequence[int],
        hidden_channels: int = 32,
        n_layers: int = 4,
        *,
        n_neighbours: int = 8,
        kernel_channels: int = 32,
        margin: float = 0.05,
        bases: Sequence[BasisName] | None = None,
        norm: NormName | None = None,
        domain_padding: float | Sequence[float] | None = None,
        factorization: Literal["tucker", "cp", "tt"] | None = None,
        rank: int | float | Sequence[int] = 1.0,
        **kwargs: Any,
    ) -> None:
        given = locals()  # every argument of this method
        require_list(n_modes=n_modes, latent_grid=latent_grid, bases=bases)
        super().__init__(spec, **kwargs)
        for name in ("n_modes", "latent_grid"):
            if len(given[name]) != len(self.spec.positions):
                raise ValueError(
                    f"{name} {list(given[name])} has {len(given[name])} entries, but the points of "
                    f"{self.spec.dataset_name!r} have the coordinates {list(self.spec.positions)}: give one for each"
                )
        kept = inspect.signature(GeometryFNOModule).parameters.keys() - {"spec", "kwargs"}
        self.network_arguments: dict[str, Any] = {name: plain(given[name], name) for name in kept}

    def build_network(self) -> GeometryFNO:
        """Build the operator."""
        return GeometryFNO(in_channels=self.in_channels, out_channels=self.out_channels, **self.network_arguments)
