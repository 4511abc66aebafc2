"""The default set of metrics."""

from collections.abc import Callable, Mapping
from functools import partial

from fno_lightning.metrics.base import FieldMetric
from fno_lightning.metrics.pointwise import MAE, NRMSE, RMSE, VRMSE, LInfinity, Pearson
from fno_lightning.metrics.spectral import SpectralError

MetricFactory = Callable[[int], FieldMetric]
"""Constructor of a metric from the number of spatial dimensions, such as every metric class."""

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
"""Metrics by log name."""
