"""Fourier continuation: spectral derivatives along an axis that is not periodic."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fno_lightning.derivatives.finite_differences import Points, stencil_weights
from fno_lightning.derivatives.spectral import spectral_matrix

Continuation = Literal["legendre", "gram"]

OVERSAMPLING = 8
"""Points between two of the grid where a Gram polynomial and its continuation must agree."""
CUT_OFF = 1e-13
"""Singular values of the fit below this share of the largest are round-off."""


def continuation_matrix(
    n_points: int, degree: int = 5, n_added: int | None = None, kind: Continuation = "gram"
) -> Points:
    """Return the matrix that adds points to even points of an axis so that all together are periodic and smooth.

    ``legendre`` puts one polynomial through the first and the last points, in the gap between them; the gap must grow
    with the number of points, or the error of a derivative does. ``gram`` writes the points at either end by
    orthonormal (Gram) polynomials, and lets each fall to zero as a smooth function over a gap of fixed size.

    Args:
        n_points: Number of points of the axis.
        degree: Points at each end that determine the continuation; the error of a derivative falls as this power of the
            spacing at the ends, one power less for each order of the derivative.
        n_added: Number of points in the gap; ``None``: 25 for ``gram``, for ``legendre`` as many as the axis has.
        kind: ``legendre`` or ``gram``.

    Returns:
        Matrix ``(n_points + n_added, n_points)``, the identity above.

    Raises:
        ValueError: if there are fewer points than the two ends need, or nothing is added.

    Reference: Lyon and Bruno 2010, J. Comput. Phys. 229, 2009-2033 (FC-Gram).
    """
    if n_added is None:
        n_added = 25 if kind == "gram" else n_points
    if degree < 2 or n_added < 1 or n_points < 2 * degree:
        raise ValueError(
            f"Fourier continuation by {degree} points at each end needs at least 2 of them, {2 * degree} points and a "
            f"gap, but the axis has {n_points} and the gap {n_added}: choose a smaller degree or a finer grid"
        )
    added = np.zeros((n_added, n_points))
    if kind == "legendre":
        right = np.arange(-degree + 1, 1)  # the last points end at 0, the gap follows, then the first points
        left = n_added + 1 + np.arange(degree)
        ends = np.concatenate([right, left]).astype(np.float64)
        columns = np.concatenate([n_points + right - 1, left - n_added - 1])
        for i in range(n_added):
            added[i, columns] = stencil_weights(ends, float(i + 1), 0)
    else:
        falling = _falling(degree, n_added)
        added[:, -degree:] = falling
        added[:, :degree] += falling[::-1, ::-1]
    return np.vstack([np.eye(n_points), added])


def fourier_continuation_matrix(
    n_points: int,
    spacing: float,
    order: int = 1,
    degree: int = 5,
    n_added: int | None = None,
    kind: Continuation = "gram",
) -> Points:
    """Return the matrix that takes values at even points of an axis to the derivative of their Fourier continuation.

    Args:
        n_points: Number of points.
        spacing: Distance between two points.
        order: Order of the derivative, at least 1.
        degree: See :func:`continuation_matrix`.
        n_added: See :func:`continuation_matrix`.
        kind: See :func:`continuation_matrix`.

    Returns:
        Matrix ``(point, point)``.

    Raises:
        ValueError: see :func:`continuation_matrix`.
    """
    extended = continuation_matrix(n_points, degree, n_added, kind)
    n = len(extended)
    matrix: Points = spectral_matrix(n, n * spacing, order)[:n_points] @ extended
    return matrix


def _falling(degree: int, n_added: int) -> Points:
    """Return the matrix from the last points of an axis to the points of a gap over which their polynomial vanishes.

    Each Gram polynomial is fitted, on a fine grid, by a trigonometric polynomial that is zero beyond the gap.
    """
    ends = np.arange(degree, dtype=np.float64)
    gram, coefficients = np.linalg.qr(np.vander(ends / degree, increasing=True))
    fine = np.arange(OVERSAMPLING * (degree - 1) + 1) / OVERSAMPLING
    on_fine = np.linalg.solve(coefficients.T, np.vander(fine / degree, degree, increasing=True).T).T
    zero = degree + n_added + fine
    period = 2.0 * (degree + n_added)
    waves = 2 * np.pi / period * np.arange((degree + n_added) // 2 + 1)

    def basis(x: Points) -> Points:
        phases = np.outer(x, waves)
        return np.hstack([np.cos(phases), np.sin(phases[:, 1:])])

    wanted = np.vstack([on_fine, np.zeros_like(on_fine)])
    fitted = np.linalg.lstsq(basis(np.concatenate([fine, zero])), wanted, rcond=CUT_OFF)[0]
    gap: Points = basis(degree + np.arange(n_added, dtype=np.float64)) @ fitted @ gram.T
    return gap
