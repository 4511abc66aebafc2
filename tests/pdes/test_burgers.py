"""Burgers' equation against the Cole-Hopf solution, another library and its own energy."""

import json
import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from fno_lightning.pdes.burgers import INITIAL_VELOCITY, Burgers
from tests.pdes.exponax_steps import steps_of_exponax

SEEDS = [3, 7]


def small(**options):
    return Burgers(**{"resolution": (128,), "viscosities": (0.05,), "refinement": 1, "n_frames": 3} | options)


def velocity(pde, seeds=SEEDS):
    return pde.simulate(pde.parameter_sets[0], seeds).scalar_fields["velocity"]


def cole_hopf(potential, x, time, viscosity, n_nodes=60_001):
    """u = ⟨(x - y) / t⟩ weighted by exp(-(Φ(y) + (x - y)² / 2t) / 2ν), Φ' = u(., 0), by the trapezoidal rule."""
    reach = 12 * np.sqrt(viscosity * time) + 0.5
    y = np.linspace(-reach, 1 + reach, n_nodes)
    result = np.empty_like(x)
    for i, point in enumerate(x):
        exponent = -(potential(y) + (point - y) ** 2 / (2 * time)) / (2 * viscosity)
        total, sign = logsumexp(exponent, b=point - y, return_sign=True)
        result[i] = sign * np.exp(total - logsumexp(exponent)) / time
    return result


@pytest.mark.parametrize(
    ("viscosity", "points", "tolerance"), [(0.1, 64, 1e-6), (0.01, 512, 1e-6), (0.001, 2048, 1e-4)]
)
def test_the_exact_solution(viscosity, points, tolerance, monkeypatch):
    """From sin 2πx + ½ cos 4πx, through the formation of a shock."""
    waves = lambda x: torch.sin(2 * math.pi * x) + 0.5 * torch.cos(4 * math.pi * x)  # noqa: E731
    monkeypatch.setattr(Burgers, "initial_state", lambda _, seeds, box: waves(box.coordinates[0])[None, None])
    pde = small(resolution=(32,), refinement=points // 32, viscosities=(viscosity,), n_frames=2, frame_interval=0.4)
    trajectories = pde.simulate(pde.parameter_sets[0], [0])

    def potential(y):
        return (1 - np.cos(2 * np.pi * y)) / (2 * np.pi) + np.sin(4 * np.pi * y) / (8 * np.pi)

    exact = cole_hopf(potential, trajectories.coordinates["x"].double().numpy(), 0.4, viscosity)
    error = np.abs(trajectories.scalar_fields["velocity"][0, 1].numpy() - exact).max()
    assert error < tolerance


def test_another_library():
    pde = small(resolution=(256,), viscosities=(0.02,), n_frames=2, frame_interval=0.25)
    start, end = velocity(pde, [5])[0]
    box = pde.box()
    exact_start = pde.initial_state([5], box)[0]
    torch.testing.assert_close(exact_start[0].float(), start)
    other = steps_of_exponax("Burgers", exact_start, 500, 1, 1.0, 256, 0.0005, diffusivity=0.02)
    torch.testing.assert_close(end.double(), other[0], rtol=0, atol=2e-6)


def test_grids_agree_and_refinement_keeps_the_points():
    coarse, fine = (velocity(small(resolution=(n,), frame_interval=0.2)) for n in (128, 512))
    torch.testing.assert_close(coarse[:, 1:], fine[:, 1:, ::4], rtol=0, atol=2e-3)
    refined = velocity(small(resolution=(128,), refinement=4, frame_interval=0.2))
    torch.testing.assert_close(refined, fine[:, :, ::4])


def test_momentum_is_kept_and_energy_falls():
    u = velocity(small(n_frames=11, frame_interval=0.1))
    torch.testing.assert_close(u.mean(dim=-1), torch.zeros(2, 11), rtol=0, atol=1e-6)
    assert (u.square().mean(dim=-1).diff(dim=1) < 0).all()


def test_the_budget_is_that_of_the_points():
    """Energy and dissipation by sums over the points, with central differences on a fine grid."""
    pde = small(resolution=(2048,))
    box = pde.box()
    u = pde.initial_state(SEEDS, box)
    u = box.inverse(box.transform(u) * torch.exp(0.001 * box.laplacian))
    budget = pde.budget(box.transform(u), box, {"viscosity": 0.05})
    slope = (u.roll(-1, -1) - u.roll(1, -1))[:, 0] * 1024
    torch.testing.assert_close(budget.amount, u[:, 0].square().mean(dim=-1) / 2)
    torch.testing.assert_close(budget.rate, -0.05 * slope.square().mean(dim=-1), rtol=1e-4, atol=0)


def test_a_shock_that_the_grid_does_not_resolve_is_refused(monkeypatch):
    monkeypatch.setattr(Burgers, "parameter_sets", [{"viscosity": 0.002}])
    with pytest.raises(FloatingPointError, match=r"seeds \[3\]: the grid does not resolve"):
        velocity(small(n_frames=2))


def test_time_series_and_one_step_agree():
    series, one = (velocity(small(n_frames=n, frame_interval=1 / (n - 1))) for n in (11, 2))
    torch.testing.assert_close(series[:, -1], one[:, -1], rtol=0, atol=1e-5)


def test_precisions_agree():
    single, double = (velocity(small(precision=precision)) for precision in ("float32", "float64"))
    torch.testing.assert_close(single, double, rtol=0, atol=2e-5)


def test_initial_velocity_has_the_variance_of_the_reference():
    kappa = 2 * math.pi * np.arange(1, 2000)
    variance = 2 * np.sum(625 / (kappa**2 + 25) ** 2)
    u = INITIAL_VELOCITY.sample(range(2000), [torch.arange(64, dtype=torch.float64) / 64])
    assert u.var().item() == pytest.approx(variance, rel=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"viscosities": (0.001,)}, "need at least 2000 points; raise refinement to 16"),
        ({"viscosities": ()}, "viscosities is empty"),
        ({"viscosities": (0.1, -0.1)}, "viscosities is"),
        ({"n_frames": 0}, "n_frames is 0"),
        ({"refinement": 0}, "refinement is 0"),
        ({"frame_interval": 0.0}, "frame_interval is 0"),
    ],
)
def test_impossible_values_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_an_equation_is_used_with_few_words():
    trajectories = Burgers((64,), viscosities=0.1, frame_interval=0.1).simulate(seeds=range(3))
    assert trajectories.scalar_fields["velocity"].shape == (3, 2, 64)
    assert trajectories.scalars["viscosity"].item() == pytest.approx(0.1)


def test_layout():
    pde = Burgers(viscosities=[0.1, 0.01])
    json.dumps(pde.settings)
    names = [pde.label(parameters) for parameters in pde.parameter_sets]
    assert names == ["burgers_viscosity_0.1", "burgers_viscosity_0.01"]
    assert pde.schema.scalar_fields["velocity"].shape == (1, 2, 1024)
    assert pde.schema.coordinates["x"].shape == (1024,)


def test_on_another_grid_the_simulation_stays_where_its_points_allow_it():
    pde = Burgers((64,), 0.1, refinement=2)
    for resolution, refinement in {(32,): 4, (128,): 1, (256,): 2, (48,): 2}.items():
        other = pde.at_resolution(resolution)
        assert (other.resolution, other.refinement) == (resolution, refinement)
    fine, coarse = (velocity(pde.at_resolution(grid)) for grid in ((128,), (32,)))
    assert torch.equal(fine[..., ::4], coarse)
