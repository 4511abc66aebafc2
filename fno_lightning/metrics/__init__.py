"""Errors of forecasts: pure functions of a prediction and a target, and their means over samples."""

from fno_lightning.metrics.base import FieldMetric
from fno_lightning.metrics.ensemble import (
    CRPS,
    Coverage,
    EnsembleMetric,
    Ranks,
    Spread,
    SpreadSkill,
    coverage,
    crps,
    ranks,
    spread,
)
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
    "CRPS",
    "MAE",
    "NRMSE",
    "RMSE",
    "STANDARD_METRICS",
    "VRMSE",
    "Coverage",
    "EnsembleMetric",
    "FieldMetric",
    "LInfinity",
    "LogName",
    "MetricFactory",
    "Pearson",
    "Ranks",
    "SpectralError",
    "SphericalVRMSE",
    "Spread",
    "SpreadSkill",
    "band_edges",
    "coverage",
    "crps",
    "l_infinity",
    "mae",
    "nrmse",
    "pearson",
    "ranks",
    "rmse",
    "shell_power",
    "spectral_error",
    "spherical_vrmse",
    "spread",
    "vrmse",
    "wavenumber_length",
]
