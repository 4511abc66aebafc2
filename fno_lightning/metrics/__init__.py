"""Errors of forecasts: pure functions of a prediction and a target, and their means over samples."""

from fno_lightning.metrics.base import FieldMetric
from fno_lightning.metrics.l_infinity import LInfinity, l_infinity
from fno_lightning.metrics.mae import MAE, mae
from fno_lightning.metrics.nrmse import NRMSE, nrmse
from fno_lightning.metrics.pearson import Pearson, pearson
from fno_lightning.metrics.power_spectrum import shell_power, wavenumber_length
from fno_lightning.metrics.rmse import RMSE, rmse
from fno_lightning.metrics.spectral_error import SpectralError, band_edges, spectral_error
from fno_lightning.metrics.standard import STANDARD_METRICS, MetricFactory
from fno_lightning.metrics.vrmse import VRMSE, vrmse

__all__ = [
    "MAE",
    "NRMSE",
    "RMSE",
    "STANDARD_METRICS",
    "VRMSE",
    "FieldMetric",
    "LInfinity",
    "MetricFactory",
    "Pearson",
    "SpectralError",
    "band_edges",
    "l_infinity",
    "mae",
    "nrmse",
    "pearson",
    "rmse",
    "shell_power",
    "spectral_error",
    "vrmse",
    "wavenumber_length",
]
