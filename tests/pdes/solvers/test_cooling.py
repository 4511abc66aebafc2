"""Radiative cooling of uniform cells against the exact solution."""

import math

import numpy as np
import pytest
import torch

from fno_lightning.pdes import RadiativeCooling
from fno_lightning.pdes.solvers.euler import Primitive, to_conserved, to_primitive

COLD, HOT, WIDTH, GAMMA = 0.01, 1.0, 0.7, 5 / 3


def curve(temperature):
    """L(T), from its definition."""
    mixed = math.sqrt(COLD * HOT)

    def normal(t):
        return np.exp(-(np.log(t / mixed) ** 2) / (2 * WIDTH**2))

    return np.maximum(normal(temperature) - normal(COLD), 0)


def strength(cooling_time):
    """Λ, from a search for the gas that cools fastest at unit pressure; L's offset is left out, as is documented."""
    temperature = np.geomspace(COLD, HOT, 100_001)
    without_offset = np.exp(-(np.log(temperature / math.sqrt(COLD * HOT)) ** 2) / (2 * WIDTH**2))
    heat, rate = 1 / (GAMMA - 1), without_offset / temperature**2
    return heat / (cooling_time * rate.max())


def exact_temperature(density, temperature, cooling_time, duration, n_steps=4000):
    """ln T by the classical Runge-Kutta method at constant density, in many small steps."""

    factor = (GAMMA - 1) * strength(cooling_time) * density

    def slope(log_temperature):
        t = np.exp(log_temperature)
        return -factor * curve(t) / t

    y, h = np.log(temperature), duration / n_steps
    for _ in range(n_steps):
        k1 = slope(y)
        k2 = slope(y + h / 2 * k1)
        k3 = slope(y + h / 2 * k2)
        k4 = slope(y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return np.exp(y)


def cool(density, temperature, cooling_time, duration, n_steps=1, dtype=torch.float64):
    """Cools moving cells, one for each entry of the arrays; returns their temperature."""
    density, temperature = (torch.as_tensor(v, dtype=dtype).reshape(1, -1, 1) for v in (density, temperature))
    velocity = torch.full_like(density, 0.3)
    cooling = RadiativeCooling(torch.full((1, 1, 1), cooling_time, dtype=dtype), COLD, HOT, width=WIDTH, gamma=GAMMA)
    state = to_conserved(Primitive(density, velocity, -velocity, density * temperature), GAMMA)
    dt = torch.full((1, 1, 1), duration / n_steps, dtype=dtype)
    for _ in range(n_steps):
        cooled = cooling(state, dt)
        for after, before in zip(cooled[:3], state[:3], strict=True):
            assert torch.equal(after, before)
        state = cooled
    result = to_primitive(state, GAMMA)
    return (result.pressure / result.density).flatten().numpy()


CELLS = {
    "density": np.array([10.0, 10.0, 1.1, 3.0, 90.0, 60.0, 1.0]),
    "temperature": np.array([0.1, 0.02, 0.9, 0.4, 0.0105, 0.012, 0.99]),
}


def test_a_uniform_cell_cools_as_the_exact_solution():
    exact = exact_temperature(**CELLS, cooling_time=0.3, duration=0.3)
    assert (exact < 0.9 * CELLS["temperature"]).any()
    np.testing.assert_allclose(cool(**CELLS, cooling_time=0.3, duration=0.3, n_steps=50), exact, rtol=3e-4)


def test_the_error_falls_with_the_square_of_the_step():
    exact = exact_temperature(**CELLS, cooling_time=1.0, duration=0.5)
    coarse, fine = (
        np.abs(cool(**CELLS, cooling_time=1.0, duration=0.5, n_steps=n) / exact - 1).max() for n in (10, 20)
    )
    assert math.log2(coarse / fine) > 1.9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("duration", [1e-3, 1.0, 1e3, 1e9])
def test_temperatures_stay_between_the_phases_for_any_step(duration, dtype):
    temperature = np.geomspace(COLD * 1.0001, HOT * 0.9999, 1001)
    cooled = cool(1 / temperature, temperature, cooling_time=0.03, duration=duration, dtype=dtype)
    assert np.isfinite(cooled).all()
    assert (cooled >= COLD * (1 - 1e-5)).all()
    assert (cooled <= temperature * (1 + 1e-5)).all()


def test_phases_and_gas_beyond_them_keep_their_heat():
    temperature = np.array([0.001, 0.0099, COLD, HOT, 1.01, 50.0])
    cooled = cool(1 / temperature, temperature, cooling_time=0.03, duration=1.0)
    np.testing.assert_allclose(cooled, temperature, rtol=1e-12)


def test_cooling_time_is_the_shortest_at_the_given_pressure():
    """Over a short time the fastest cooling gas loses the fraction dt / t_cool of its heat."""
    temperature = np.geomspace(COLD, HOT, 2001)[1:-1]
    loss = 1 - cool(1 / temperature, temperature, cooling_time=0.5, duration=1e-5) / temperature
    assert loss.max() / (1e-5 / 0.5) == pytest.approx(1.0, abs=0.03)
