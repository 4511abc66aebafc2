"""Gaussian random fields against their analytic covariance, on several grids, in the reference's conventions."""

import math

import numpy as np
import pytest
import torch

from fno_lightning.pdes.inputs.random_fields import GaussianRandomField


def points(n, length=1.0):
    return torch.arange(n, dtype=torch.float64) * length / n


def nodes(n, length=1.0):
    return torch.linspace(0, length, n, dtype=torch.float64)


def test_periodic_covariance_in_one_dimension():
    """Cov(x, y) = σ² Σ 2 cos κ(x - y) (κ² + τ²)^{-α}, κ = 2πk/L: stationary."""
    field = GaussianRandomField(alpha=2.0, tau=3.0, sigma=5.0, lengths=(2.0,))
    samples = field.sample(range(6000), [points(32, 2.0)])
    kappa = math.pi * torch.arange(1, 16, dtype=torch.float64)
    distance = points(32, 2.0)
    exact = 2 * 25 * (torch.cos(kappa * distance[:, None]) * (kappa**2 + 9) ** -2.0).sum(dim=1)
    for origin in (0, 11):
        estimate = (samples[:, origin, None] * samples).mean(dim=0).roll(-origin)
        torch.testing.assert_close(estimate, exact, rtol=0, atol=5 * exact[0].item() / math.sqrt(6000))


def test_zero_gradient_covariance_in_two_dimensions():
    """Cov(x, y) = σ² Σ φ(x) φ(y) (κ² + τ²)^{-α} over products of cosines: not stationary."""
    field = GaussianRandomField(alpha=2.0, tau=3.0, sigma=9.0, boundary="zero-gradient")
    x = nodes(9)
    samples = field.sample(range(4000), [x, x])
    number = torch.arange(9, dtype=torch.float64)
    functions = torch.cos(math.pi * number * x[:, None]) * torch.where(number == 0, 1.0, math.sqrt(2))
    weight = 81 * (math.pi**2 * (number[:, None] ** 2 + number**2) + 9) ** -2.0
    weight[0, 0] = 0
    exact = torch.einsum("k,l,xk,yl,kl->xy", functions[0], functions[3], functions, functions, weight)
    estimate = (samples[:, 0, 3, None, None] * samples).mean(dim=0)
    spread = samples.var(dim=0).max().item() / math.sqrt(4000)
    torch.testing.assert_close(estimate, exact, rtol=0, atol=6 * spread)


@pytest.mark.parametrize("boundary", ["periodic", "zero-gradient"])
def test_the_mean_over_the_box_is_zero(boundary):
    field = GaussianRandomField(alpha=2.0, tau=3.0, sigma=9.0, boundary=boundary)
    axis = points(16) if boundary == "periodic" else (points(16) + 1 / 32)
    assert field.sample(range(5), [axis, axis]).mean(dim=(1, 2)).abs().max() < 1e-14


def test_no_gradient_at_the_sides():
    field = GaussianRandomField(alpha=4.0, tau=3.0, sigma=81.0, boundary="zero-gradient")
    fields = field.sample(range(5), [nodes(129), nodes(129)])
    scale = fields.diff(dim=1).abs().max()
    assert fields[:, 1].sub(fields[:, 0]).abs().max() < 0.1 * scale


@pytest.mark.parametrize("boundary", ["periodic", "zero-gradient"])
def test_a_seed_is_the_same_function_on_every_grid(boundary):
    """A finer grid adds only what the coarser could not show: modes above its highest."""
    field = GaussianRandomField(alpha=4.0, tau=7.0, sigma=7.0**3, boundary=boundary)
    make = points if boundary == "periodic" else nodes
    extra = boundary == "zero-gradient"
    coarse, fine = (field.sample([0, 5], [make(n + extra), make(2 * n + extra)]) for n in (48, 96))
    torch.testing.assert_close(coarse, fine[:, ::2, ::2], rtol=0, atol=1e-3 * fine.std().item())
    high = GaussianRandomField(alpha=4.0, tau=7.0, sigma=7.0**3, boundary=boundary)
    resolved = high.sample([0], [make(256 + extra), make(256 + extra)])
    finer = high.sample([0], [make(512 + extra), make(512 + extra)])
    torch.testing.assert_close(resolved, finer[:, ::2, ::2], rtol=0, atol=1e-12)


def test_a_field_does_not_depend_on_its_batch():
    field = GaussianRandomField(alpha=2.0, tau=3.0, sigma=9.0)
    batch = field.sample([3, 7, 11], [points(16), points(20)])
    alone = field.sample([7], [points(16), points(20)])
    torch.testing.assert_close(batch[1:2], alone, rtol=0, atol=1e-14)
    assert not torch.allclose(batch[0], batch[1])


def test_variance_of_a_field_on_a_long_box_is_that_of_the_line():
    """σ² L / π · ∫ (κ² + 1)^{-4} dκ = σ² L · 5/32 on [0, L], without the σ² of the constant."""
    field = GaussianRandomField(alpha=4.0, tau=1.0, sigma=1.0, lengths=(200.0,))
    samples = field.sample(range(300), [points(512, 200.0)])
    assert samples.var().item() == pytest.approx(200 * 5 / 32 - 1, rel=0.03)


def test_conventions_of_the_reference():
    """Each frequency of Burgers' initial velocity has the amplitude √2 σ ((2πk)² + τ²)^{-γ/2} of Li et al. 2021."""
    field = GaussianRandomField(alpha=2.0, tau=5.0, sigma=25.0, lengths=(1.0,))
    spectra = np.fft.rfft(field.sample(range(4000), [points(32)]).numpy(), axis=1)[:, 1:6] / 16
    k = np.arange(1, 6)
    amplitude = math.sqrt(2) * 25 * ((2 * np.pi * k) ** 2 + 25) ** -1.0
    np.testing.assert_allclose(spectra.real.std(axis=0), amplitude, rtol=0.05)
    np.testing.assert_allclose(spectra.imag.std(axis=0), amplitude, rtol=0.05)


def test_precision_follows_the_coordinates():
    field = GaussianRandomField(alpha=2.0, tau=3.0, sigma=9.0)
    single, double = (field.sample([1], [points(16).to(t), points(16).to(t)]) for t in (torch.float32, torch.float64))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-5)
