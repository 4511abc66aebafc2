"""Exponential time differencing against exact solutions and an adaptive integrator."""

import math

import pytest
import torch
from scipy.integrate import solve_ivp

from fno_lightning.pdes.solvers.etdrk4 import ETDRK4


def integrate(linear, nonlinear, start, time, n_steps):
    u = start.to(start.dtype.to_complex())
    stepper = ETDRK4(linear, nonlinear, time / n_steps)
    for _ in range(n_steps):
        u = stepper.step(u)
    return u


@pytest.mark.parametrize("linear", [-1e4, -3.0, -1.0, 1e-9, 0.0, 0.7, 40j, -1 + 2j])
def test_the_linear_term_is_exact(linear):
    rate = torch.tensor([linear], dtype=torch.complex128 if isinstance(linear, complex) else torch.float64)
    start = torch.ones_like(rate)
    end = integrate(rate, torch.zeros_like, start, time=1.5, n_steps=3)
    torch.testing.assert_close(end, torch.exp(1.5 * rate).to(end.dtype), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("linear", [-1e4, -1e-7, 0.0, 0.7])
def test_a_constant_source_is_exact(linear):
    """u' = L u + 1 from 0 has the solution (e^{L t} - 1) / L."""
    rate = torch.tensor([linear], dtype=torch.float64)
    end = integrate(rate, torch.ones_like, torch.zeros_like(rate), time=1.5, n_steps=3)
    assert end.real.item() == pytest.approx(math.expm1(1.5 * linear) / linear if linear else 1.5, rel=1e-13)


@pytest.mark.parametrize("linear", [-40.0, -1.0, -1e-8, 0.0, 0.5])
def test_order_four_on_logistic_growth_with_a_linear_term(linear):
    """u' = L u + (1 - L) u - u² is u' = u (1 - u) for every L, however stiff the two parts are."""
    rate = torch.tensor([linear], dtype=torch.float64)
    start = torch.tensor([0.2], dtype=torch.float64)
    exact = 1 / (1 + 4 * math.exp(-2.0))
    n_steps = (200, 400) if linear < -10 else (10, 20)
    coarse, fine = (
        abs(integrate(rate, lambda u: (1 - rate) * u - u**2, start, 2.0, n).item() - exact) for n in n_steps
    )
    assert coarse < 1e-4
    assert 3.7 < math.log2(coarse / fine) < 4.5


@pytest.mark.parametrize("linear", [-5.0 + 0j, 3j, -1 + 12j])
def test_against_an_adaptive_integrator(linear):
    """A forced oscillator with a nonlinear frequency, u' = L u - i |u|² u."""
    reference = solve_ivp(
        lambda _, u: linear * u - 1j * abs(u) ** 2 * u, (0, 2.0), [0.8 + 0.3j], rtol=1e-12, atol=1e-14, method="DOP853"
    ).y[0, -1]
    rate, start = torch.tensor([linear]).to(torch.complex128), torch.tensor([0.8 + 0.3j]).to(torch.complex128)
    errors = [
        abs(integrate(rate, lambda u: -1j * u.abs() ** 2 * u, start, 2.0, n).item() - reference) for n in (40, 80)
    ]
    assert errors[1] < 1e-6
    assert 3.6 < math.log2(errors[0] / errors[1]) < 4.6


def test_coefficients_have_no_poles_and_do_not_cancel():
    """They are entire functions of L Δt: their series (Cox and Matthews 2002) on a fine circle about 0, and beyond."""
    angles = torch.arange(256, dtype=torch.float64) * 2 * math.pi / 256
    for radius in (1e-3, 0.5, 1.0, 1.5, 2.0):
        z = torch.polar(torch.full_like(angles, radius), angles)
        stepper = ETDRK4(z, torch.zeros_like, 1.0)
        phi = [sum(z**n / float(math.factorial(n + j)) for n in range(40)) for j in range(4)]
        torch.testing.assert_close(stepper._first, phi[1] - 3 * phi[2] + 4 * phi[3], rtol=0, atol=1e-14)
        torch.testing.assert_close(stepper._middle / 2, phi[2] - 2 * phi[3], rtol=0, atol=1e-14)
        torch.testing.assert_close(stepper._last, 4 * phi[3] - phi[2], rtol=0, atol=1e-14)


def test_single_precision_stays_single():
    rate = torch.tensor([-3.0, -1e-3])
    end = integrate(rate, lambda u: -(u**2), torch.ones(2, dtype=torch.complex64), 1.0, 10)
    assert end.dtype == torch.complex64
    double = integrate(rate.double(), lambda u: -(u**2), torch.ones(2, dtype=torch.complex128), 1.0, 10)
    torch.testing.assert_close(end.to(torch.complex128), double, rtol=1e-5, atol=1e-6)
