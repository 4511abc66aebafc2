"""Spectral derivatives along a periodic axis."""

from __future__ import annotations

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
