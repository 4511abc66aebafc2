"""Fourier continuation, and the spectral derivatives that it makes possible."""

import math

import numpy as np
import pytest
import torch
from neuralop.layers.fourier_continuation import FCLegendre

from fno_lightning.derivatives import continuation_matrix, fourier_continuation_matrix, spectral_matrix


@pytest.mark.parametrize("n", [16, 17])
def test_spectral_derivatives_of_the_waves_of_the_grid_are_exact(n):
    length = 3.0
    x = length * np.arange(n) / n
    k = 2 * np.pi / length * np.arange(1, 8)
    waves = np.sin(np.outer(x, k) + 0.3)
    np.testing.assert_allclose(spectral_matrix(n, length) @ waves, k * np.cos(np.outer(x, k) + 0.3), atol=1e-11)
    np.testing.assert_allclose(spectral_matrix(n, length, 2) @ waves, -(k**2) * waves, atol=1e-10)
    np.testing.assert_allclose(spectral_matrix(n, length) @ np.ones(n), 0, atol=1e-12)


def test_the_shortest_wave_has_a_second_derivative_only():
    zigzag = (-1.0) ** np.arange(8)
    np.testing.assert_allclose(spectral_matrix(8, 1.0) @ zigzag, 0, atol=1e-12)
    np.testing.assert_allclose(spectral_matrix(8, 1.0, 2) @ zigzag, -((8 * np.pi) ** 2) * zigzag)


def error(n, degree, kind, order):
    x = np.linspace(0, 1, n)
    f = np.exp(np.sin(3 * x))
    exact = 3 * np.cos(3 * x) * f if order == 1 else 9 * (np.cos(3 * x) ** 2 - np.sin(3 * x)) * f
    return np.abs(fourier_continuation_matrix(n, x[1], order, degree, kind=kind) @ f - exact).max()


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("kind", "degree"), [("gram", 3), ("gram", 4), ("gram", 5), ("legendre", 3), ("legendre", 4)])
def test_the_error_falls_by_the_degree_less_the_order(kind, degree, order):
    coarse, fine = (error(n, degree, kind, order) for n in (64, 128))
    assert math.log2(coarse / fine) > degree - order - 0.15


def test_a_continuation_keeps_the_points_and_is_smooth_over_the_seam():
    x = np.linspace(0, 1, 40)
    f = np.exp(x)
    extended = continuation_matrix(40) @ f
    assert len(extended) == 65
    np.testing.assert_array_equal(extended[:40], f)
    spectrum = np.abs(np.fft.rfft(extended))
    assert spectrum[-5:].max() < 1e-4 * spectrum[0]
    assert np.abs(np.fft.rfft(f))[-5:].max() > 1e-2 * np.abs(np.fft.rfft(f))[0]


def test_legendre_puts_one_polynomial_through_both_ends():
    """As neuralop's does, whose gap has a fixed number of points."""
    f = torch.sin(torch.linspace(0, 2, 24, dtype=torch.float64))
    expected = FCLegendre(d=4, n_additional_pts=20).extend(f[None], dim=1)[0]
    own = torch.from_numpy(continuation_matrix(24, 4, 20, "legendre")) @ f
    half = 10  # neuralop puts half of the points in front
    torch.testing.assert_close(torch.roll(own, half), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("options", [{"n_points": 9}, {"n_points": 30, "degree": 1}, {"n_points": 30, "n_added": 0}])
def test_impossible_continuations_are_refused(options):
    with pytest.raises(ValueError, match="choose a smaller degree or a finer grid"):
        continuation_matrix(**options)
