"""Finite differences on even and uneven points."""

import math

import numpy as np
import pytest

from fno_lightning.derivatives import finite_difference_matrix
from fno_lightning.derivatives.finite_differences import stencil_weights


def chebyshev(n):
    return 0.5 - 0.5 * np.cos(np.pi * np.arange(n) / (n - 1))


def test_weights_of_known_stencils():
    np.testing.assert_allclose(stencil_weights(np.array([-1.0, 0, 1]), 0.0, 1), [-0.5, 0, 0.5])
    np.testing.assert_allclose(stencil_weights(np.array([-1.0, 0, 1]), 0.0, 2), [1, -2, 1])
    np.testing.assert_allclose(stencil_weights(np.array([0.0, 1, 2, 3]), 0.0, 1), np.array([-11, 18, -9, 2]) / 6)
    np.testing.assert_allclose(stencil_weights(np.array([0.0, 1, 2, 3]), 0.0, 2), [2, -5, 4, -1], atol=1e-14)
    np.testing.assert_allclose(stencil_weights(np.array([0.0, 1, 3]), 1.0, 0), [0, 1, 0], atol=1e-15)


@pytest.mark.parametrize("points", [np.linspace, lambda _a, _b, n: chebyshev(n)], ids=["even", "uneven"])
@pytest.mark.parametrize("accuracy", [2, 4])
@pytest.mark.parametrize("order", [1, 2])
def test_the_error_falls_as_the_power_of_the_spacing(points, accuracy, order):
    errors = []
    for n in (40, 80):
        x = points(0.0, 1.0, n)
        exact = 3 * np.cos(3 * x) if order == 1 else -9 * np.sin(3 * x)
        errors.append(np.abs(finite_difference_matrix(x, order, accuracy) @ np.sin(3 * x) - exact).max())
    assert math.log2(errors[0] / errors[1]) > accuracy - 0.1


@pytest.mark.parametrize("is_even", [True, False])
def test_periodic_axes_wrap(is_even):
    errors = []
    for n in (40, 80):
        x = np.arange(n) / n
        x = x if is_even else x + 0.05 * np.sin(2 * np.pi * x)
        derivative = finite_difference_matrix(x, 1, 4, period=1.0) @ np.exp(np.sin(2 * np.pi * x))
        errors.append(np.abs(derivative - 2 * np.pi * np.cos(2 * np.pi * x) * np.exp(np.sin(2 * np.pi * x))).max())
    assert math.log2(errors[0] / errors[1]) > 3.8
    np.testing.assert_allclose(
        finite_difference_matrix(np.arange(8) / 8, 2, 2, period=1.0)[0, [7, 0, 1]], [64, -128, 64]
    )


def test_polynomials_are_exact_up_to_the_ends():
    x = np.sort(np.random.default_rng(0).uniform(size=12))
    for order, accuracy in [(1, 2), (1, 4), (2, 2), (3, 2)]:
        powers = np.arange(order + accuracy)
        exact = np.array([math.perm(p, order) * x ** max(p - order, 0) if p >= order else 0 * x for p in powers]).T
        derivative = finite_difference_matrix(x, order, accuracy) @ x[:, None] ** powers
        np.testing.assert_allclose(derivative, exact, atol=1e-6)


@pytest.mark.parametrize(
    ("points", "options", "message"),
    [
        ([0.0], {}, "needs at least 2 points, but the axis has 1"),
        ([0.0], {"period": 1.0}, "needs at least 2 points, but the axis has 1"),
        ([0.0, 1.0], {}, "needs 3 points, but the axis has 2: choose a smaller accuracy or a finer grid"),
        (range(5), {"order": 2, "accuracy": 4}, "needs 6 points, but the axis has 5"),
        (range(4), {"accuracy": 4, "period": 4.0}, "needs 5 points, but the axis has 4"),
        ([0.0, 1.0, 1.0], {}, "must ascend"),
        ([0.0, 1.0, 2.0], {"period": 2.0}, "lie within the period"),
        (range(9), {"accuracy": 3}, "an even accuracy, got order=1 with accuracy=3"),
        (range(9), {"order": 0}, "at least the first order"),
    ],
)
def test_impossible_derivatives_are_refused(points, options, message):
    with pytest.raises(ValueError, match=message):
        finite_difference_matrix([float(x) for x in points], **options)
