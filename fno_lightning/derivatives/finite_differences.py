"""Finite differences along one axis, on any points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


def stencil_weights(points: Points, at: float, order: int) -> Points:
    """Return the weights of function values with which a derivative is exact for polynomials through all of them.

    Args:
        points: Points of the stencil, all different.
        at: Where the derivative is taken.
        order: Order of the derivative; 0 interpolates.

    Returns:
        One weight for each point.

    Reference: Fornberg 1988, Mathematics of Computation 51, 699-706.
    """
    weights = np.zeros((order + 1, len(points)))
    weights[0, 0] = 1.0
    product = 1.0
    for i in range(1, len(points)):
        previous = weights.copy()
        products = points[i] - points[:i]
        orders = np.arange(order + 1)[:, None]
        lower = np.vstack([np.zeros((1, i)), previous[:-1, :i]])
        weights[:, :i] = ((points[i] - at) * previous[:, :i] - orders * lower) / products
        last = np.concatenate([[0.0], previous[:-1, i - 1]])
        new_product = float(np.prod(products))
        weights[:, i] = product / new_product * (orders[:, 0] * last - (points[i - 1] - at) * previous[:, i - 1])
        product = new_product
    row: Points = weights[order]
    return row


def finite_difference_matrix(
    points: Points | Sequence[float],
    order: int = 1,
    accuracy: int = 2,
    period: float | None = None,
    edge_accuracy: int | None = None,
) -> Points:
    """Return the matrix that takes values at points to their derivative there.

    A row uses the fewest neighbours that make the error fall as the given power of the spacing: central ones of even
    points, of uneven points as many as the error needs on any side, at the ends of an axis one-sided ones.

    Args:
        points: Points along the axis, ascending.
        order: Order of the derivative, at least 1.
        accuracy: Order of accuracy, even.
        period: Length of a periodic axis; the point after the last one is the first.
        edge_accuracy: Order of accuracy of the one-sided differences at the ends; ``None``: as inside.

    Returns:
        Matrix ``(point, point)``.

    Raises:
        ValueError: if the points are not ascending or too few, or ``order`` or ``accuracy`` is impossible.
    """
    x = np.asarray(points, dtype=np.float64)
    if order < 1 or accuracy < 2 or accuracy % 2:
        raise ValueError(
            f"expected a derivative of at least the first order with an even accuracy, got order={order} with "
            f"accuracy={accuracy}"
        )
    if len(x) < 2:
        raise ValueError(f"a derivative needs at least 2 points, but the axis has {len(x)}")
    gaps = np.diff(x if period is None else np.append(x, x[0] + period))
    if not (gaps > 0).all():
        raise ValueError("the points of a derivative must ascend, each once, and lie within the period if there is one")
    is_even = bool(np.ptp(gaps) <= 1e-6 * gaps.mean())  # coordinates are stored in float32
    one_sided = order + (edge_accuracy or accuracy)
    central = 2 * ((order + 1) // 2) - 1 + accuracy if is_even else order + accuracy + (order + accuracy + 1) % 2
    n = len(x)
    needed = central if period is not None else one_sided
    if n < needed:
        raise ValueError(
            f"a derivative of order {order} with accuracy {accuracy} needs {needed} points, but the axis has {n}: "
            "choose a smaller accuracy or a finer grid"
        )
    matrix = np.zeros((n, n))
    for row in range(n):
        first = row - central // 2
        if period is not None or 0 <= first <= n - central:
            columns = np.arange(first, first + central)
        else:
            width = one_sided if is_even else min(n, max(one_sided, central))
            begin = 0 if first < 0 else n - width
            columns = np.arange(begin, begin + width)
        turns = np.floor_divide(columns, n)
        stencil = x[columns % n] + (turns * period if period is not None else 0.0)
        np.add.at(matrix[row], columns % n, stencil_weights(stencil, x[row], order))
    return matrix
