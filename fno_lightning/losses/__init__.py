"""Losses: training objectives."""

from fno_lightning.losses.base import Comparison, FieldLoss, Loss
from fno_lightning.losses.fourier import FourierLoss
from fno_lightning.losses.mse import MSE
from fno_lightning.losses.relative_l2 import RelativeL2
from fno_lightning.losses.rmse import RMSE, VRMSE, MeanFluctuation
from fno_lightning.losses.sobolev import Sobolev
from fno_lightning.losses.spectrum import Spectrum
from fno_lightning.losses.weighted_sum import WeightedSum

__all__ = [
    "MSE",
    "RMSE",
    "VRMSE",
    "Comparison",
    "FieldLoss",
    "FourierLoss",
    "Loss",
    "MeanFluctuation",
    "RelativeL2",
    "Sobolev",
    "Spectrum",
    "WeightedSum",
]
