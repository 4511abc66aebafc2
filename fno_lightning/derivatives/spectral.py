"""Spectral derivatives along a periodic axis."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from fno_lightning.derivatives.finite_differences import Points


def spectral_matrix(n_points: int, length: float, order: int = 1) -> Points:
    r"""Return the matrix that takes values at even points of a periodic axis to the derivative of their Fourier series.

    .. math:: D = F^{-1} \operatorname{diag}\big((i k)^{m}\big) F, \qquad k = 2 \pi j / L

    It is exact for the waves that the grid holds. The shortest one of an even number of points has no odd derivative.

    Args:
        n_points: Number of points.
        length: L.
        order: m, at least 1.

    Returns:
        Matrix ``(point, point)``.

    Raises:
        ValueError: if ``order`` or a size is impossible.

    Reference: Trefethen 2000, Spectral Methods in MATLAB, chapter 3.
    """
    if n_points < 1 or length <= 0 or order < 1:
        raise ValueError(f"expected points, a length and an order, got {n_points}, {length} and {order}")
    k = 2 * np.pi * np.fft.rfftfreq(n_points, length / n_points)
    factors = (1j * k) ** order
    if n_points % 2 == 0 and order % 2:
        factors[-1] = 0.0
    matrix: Points = np.fft.irfft(factors[:, None] * np.fft.rfft(np.eye(n_points), axis=0), n_points, axis=0)
    return matrix


@lru_cache(maxsize=64)
def resampling_matrix(n_points: int, n_new: int) -> Points:
    """Return the matrix that takes values at even points of a periodic axis to those of their Fourier series elsewhere.

    Both rows of points begin at the same one. Waves that either row cannot tell from another are left out: those of two
    points of the coarser row, and shorter ones.

    Args:
        n_points: Number of points.
        n_new: Number of new points.

    Returns:
        Matrix ``(new point, point)``.

    Raises:
        ValueError: if a size is not positive.
    """
    if n_points < 1 or n_new < 1:
        raise ValueError(f"expected points, got {n_points} and {n_new}")
    spectrum = np.fft.rfft(np.eye(n_points), axis=0)
    kept = (min(n_points, n_new) + 1) // 2
    matrix: Points = np.fft.irfft(spectrum[:kept], n_new, axis=0) * (n_new / n_points)
    return matrix
