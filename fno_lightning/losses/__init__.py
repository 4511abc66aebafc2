"""Losses: training objectives."""

from fno_lightning.losses.base import FieldLoss, Loss
from fno_lightning.losses.fourier import FourierLoss
from fno_lightning.losses.loss_sum import LossSum
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
    "FieldLoss",
    "FourierLoss",
    "Loss",
    "LossSum",
    "MeanFluctuation",
    "RelativeL2",
    "Sobolev",
    "Spectrum",
    "WeightedSum",
]
