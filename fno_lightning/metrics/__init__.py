"""Errors of forecasts: pure functions of a prediction and a target, and their means over samples."""

from fno_lightning.metrics.base import FieldMetric
from fno_lightning.metrics.log_name import LogName
from fno_lightning.metrics.pointwise import (
    MAE,
    NRMSE,
    RMSE,
    VRMSE,
    LInfinity,
    Pearson,
    l_infinity,
    mae,
    nrmse,
    pearson,
    rmse,
    vrmse,
)
from fno_lightning.metrics.spectral import SpectralError, band_edges, shell_power, spectral_error
from fno_lightning.metrics.spherical import SphericalVRMSE, spherical_vrmse
from fno_lightning.metrics.standard import STANDARD_METRICS, MetricFactory
from fno_lightning.wavenumbers import wavenumber_length

__all__ = [
    "MAE",
    "NRMSE",
    "RMSE",
    "STANDARD_METRICS",
    "VRMSE",
    "FieldMetric",
    "LInfinity",
    "LogName",
    "MetricFactory",
    "Pearson",
    "SpectralError",
    "SphericalVRMSE",
    "band_edges",
    "l_infinity",
    "mae",
    "nrmse",
    "pearson",
    "rmse",
    "shell_power",
    "spectral_error",
    "spherical_vrmse",
    "vrmse",
    "wavenumber_length",
]
