"""The U-nets of The Well's benchmark, whose channels have names of their own there."""

from __future__ import annotations

from typing import Any

from the_well.benchmark import models


class UNetClassic(models.UNetClassic):
    def __init__(self, in_channels: int, out_channels: int, n_spatial_dims: int = 2, **options: Any) -> None:
        super().__init__(in_channels, out_channels, n_spatial_dims, (), **options)


class UNetConvNext(models.UNetConvNext):
    def __init__(self, in_channels: int, out_channels: int, n_spatial_dims: int = 2, **options: Any) -> None:
        super().__init__(in_channels, out_channels, n_spatial_dims, (), **options)
