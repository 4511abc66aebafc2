"""Losses: training objectives."""

from fno_lightning.losses.base import Loss
from fno_lightning.losses.mse import MSE
from fno_lightning.losses.relative_l2 import RelativeL2

__all__ = ["MSE", "Loss", "RelativeL2"]
