"""Losses: training objectives."""

from fno_lightning.losses.balanced_sum import BalancedSum
from fno_lightning.losses.base import Comparison, FieldLoss, Loss
from fno_lightning.losses.by_field import ByField
from fno_lightning.losses.equation_residual import EquationResidual
from fno_lightning.losses.fourier import FourierLoss
from fno_lightning.losses.h1 import H1, DerivativeLoss, Hdiv
from fno_lightning.losses.inverse_gradient_norm import InverseGradientNorm
from fno_lightning.losses.loss_sum import LossSum
from fno_lightning.losses.lp import Lp
from fno_lightning.losses.mse import MSE
from fno_lightning.losses.quantile import PointwiseQuantile
from fno_lightning.losses.relative_l2 import RelativeL2
from fno_lightning.losses.relobralo import ReLoBRaLo
from fno_lightning.losses.rmse import RMSE, VRMSE, MeanFluctuation
from fno_lightning.losses.sobolev import Sobolev
from fno_lightning.losses.soft_adapt import SoftAdapt
from fno_lightning.losses.spectrum import Spectrum
from fno_lightning.losses.weighted_sum import WeightedSum

__all__ = [
    "H1",
    "MSE",
    "RMSE",
    "VRMSE",
    "BalancedSum",
    "ByField",
    "Comparison",
    "DerivativeLoss",
    "EquationResidual",
    "FieldLoss",
    "FourierLoss",
    "Hdiv",
    "InverseGradientNorm",
    "Loss",
    "LossSum",
    "Lp",
    "MeanFluctuation",
    "PointwiseQuantile",
    "ReLoBRaLo",
    "RelativeL2",
    "Sobolev",
    "SoftAdapt",
    "Spectrum",
    "WeightedSum",
]
