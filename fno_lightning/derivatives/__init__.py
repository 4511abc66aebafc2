"""Derivatives on grids and on clouds of points."""

from fno_lightning.derivatives.finite_differences import finite_difference_matrix
from fno_lightning.derivatives.fourier_continuation import continuation_matrix, fourier_continuation_matrix
from fno_lightning.derivatives.grid import (
    AxisDerivative,
    FiniteDifferences,
    FourierContinuation,
    GridDerivatives,
    Spectral,
)
from fno_lightning.derivatives.point_cloud import PointCloudGradient, nearest_neighbours
from fno_lightning.derivatives.spectral import resampling_matrix, spectral_matrix

__all__ = [
    "AxisDerivative",
    "FiniteDifferences",
    "FourierContinuation",
    "GridDerivatives",
    "PointCloudGradient",
    "Spectral",
    "continuation_matrix",
    "finite_difference_matrix",
    "fourier_continuation_matrix",
    "nearest_neighbours",
    "resampling_matrix",
    "spectral_matrix",
]
