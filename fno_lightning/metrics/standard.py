"""The errors that are reported unless others are asked for."""

from collections.abc import Callable, Mapping
from functools import partial

from fno_lightning.metrics.base import FieldMetric
from fno_lightning.metrics.l_infinity import LInfinity
from fno_lightning.metrics.mae import MAE
from fno_lightning.metrics.nrmse import NRMSE
from fno_lightning.metrics.pearson import Pearson
from fno_lightning.metrics.rmse import RMSE
from fno_lightning.metrics.spectral_error import SpectralError
from fno_lightning.metrics.vrmse import VRMSE

MetricFactory = Callable[[int], FieldMetric]
"""Makes a metric from the number of spatial dimensions; every metric class is one."""

STANDARD_METRICS: Mapping[str, MetricFactory] = {
    "vrmse": VRMSE,
    "nrmse": NRMSE,
    "rmse": RMSE,
    "mae": MAE,
    "l_infinity": LInfinity,
    "pearson": Pearson,
    "spectral_low": partial(SpectralError, band="low"),
    "spectral_mid": partial(SpectralError, band="mid"),
    "spectral_high": partial(SpectralError, band="high"),
}
"""Metrics by the name that they have in the logs."""
