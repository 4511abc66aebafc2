"""Two-dimensional flow against exact solutions, another library and its own energy and enstrophy."""

import json
import math

import pytest
import torch

from fno_lightning.pdes.navier_stokes import NavierStokes
from fno_lightning.pdes.solvers.advection import VorticityAdvection
from fno_lightning.pdes.solvers.etdrk4 import ETDRK4
from tests.pdes.exponax_steps import steps_of_exponax
from tests.pdes.stepping import advance, derivative, order

SEEDS = [3, 7]
PARAMETERS = {"viscosity": 1e-3}


def small(**options):
    options = {"resolution": (32, 32), "viscosities": (1e-3,), "refinement": 1, "n_frames": 3} | options
    return NavierStokes(**options)


def vorticity(pde, seeds=SEEDS):
    return pde.simulate(pde.parameter_sets[0], seeds).scalar_fields["vorticity"]


def grid(pde):
    x, y = pde.box().coordinates
    return 2 * math.pi * x[:, None], 2 * math.pi * y


def test_taylor_green_vortices_decay_exactly(monkeypatch):
    pde = small(forcing=0.0, drag=0.1, frame_interval=5.0, resolution=(24, 30))
    x, y = grid(pde)
    start = torch.cos(x) * torch.cos(y)
    monkeypatch.setattr(NavierStokes, "initial_state", lambda *_: start[None, None])
    rate = 1e-3 * 2 * (2 * math.pi) ** 2 + 0.1
    for number, frame in enumerate(vorticity(pde, [0])[0]):
        torch.testing.assert_close(frame, (start * math.exp(-5 * number * rate)).float(), rtol=0, atol=1e-7)


def test_forcing_at_rest_builds_up_the_exact_laminar_flow(monkeypatch):
    pde = small(frame_interval=4.0, drag=0.05)
    x, y = grid(pde)
    monkeypatch.setattr(NavierStokes, "initial_state", lambda *_: torch.zeros(1, 1, 32, 32, dtype=torch.float64))
    rate = 8 * math.pi**2 * 1e-3 + 0.05
    wave = torch.sin(x + y) + torch.cos(x + y)
    for number, frame in enumerate(vorticity(pde, [0])[0]):
        exact = 0.1 * wave * (1 - math.exp(-4 * number * rate)) / rate
        torch.testing.assert_close(frame, exact.float(), rtol=0, atol=1e-6)


def test_advection_is_that_of_the_velocity():
    """-u·∇ω from products on the points, on a grid that holds all their frequencies."""
    box = small(resolution=(48, 40)).box()
    x, y = (2 * math.pi * points for points in box.coordinates)
    w = (torch.cos(x[:, None] - 2 * y) + torch.sin(3 * x)[:, None] * torch.cos(y))[None, None]
    stream = box.inverse(-box.inverse_laplacian * box.transform(w))
    u, v = derivative(stream, 3, 1.0), -derivative(stream, 2, 1.0)
    torch.testing.assert_close(derivative(v, 2, 1.0) - derivative(u, 3, 1.0), w)
    expected = -(u * derivative(w, 2, 1.0) + v * derivative(w, 3, 1.0))
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(box.inverse(VorticityAdvection(box)(box.transform(w))), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("forcing", [0.0, 0.1])
def test_energy_and_enstrophy_change_as_they_must(forcing):
    """Sums over the points of a strong, inviscid-looking flow: advection alone keeps both."""
    pde = small(forcing=forcing, drag=0.03, initial_scale=100.0)
    box = pde.box()
    states = [pde.initial_state(SEEDS, box)]
    states[0] = box.inverse(box.dealiasing * box.transform(states[0]))
    states += [advance(pde, PARAMETERS, states[0], 0.004, 1), advance(pde, PARAMETERS, states[0], 0.008, 2)]
    x, y = grid(pde)
    force = forcing * (torch.sin(x + y) + torch.cos(x + y))

    def stream(field):
        return box.inverse(-box.inverse_laplacian * box.transform(field))

    def mean(field):
        return field.mean(dim=(1, 2, 3))

    w = states[1]
    losses = 1e-3 * (derivative(derivative(w, 2, 1.0), 2, 1.0) + derivative(derivative(w, 3, 1.0), 3, 1.0)) - 0.03 * w
    for weight in (lambda field: field, stream):
        before, after = (mean(state * weight(state)) / 2 for state in (states[0], states[2]))
        expected = mean((losses + force) * weight(w))
        torch.testing.assert_close((after - before) / 0.008, expected, rtol=1e-4, atol=0)
    budget = pde.budget(box.transform(w), box, PARAMETERS)
    torch.testing.assert_close(budget.amount, mean(w * w) / 2)
    torch.testing.assert_close(budget.rate, mean((losses + force) * w))


def test_another_library():
    """Its velocity has the opposite sign, which that of the vorticity makes up for."""
    pde = small(resolution=(48, 48), forcing=0.0, drag=0.02)
    start = pde.initial_state([5], pde.box())
    end = advance(pde, PARAMETERS, start, 1.0, 50)
    other = steps_of_exponax("NavierStokesVorticity", -start[0], 50, 2, 1.0, 48, 0.02, diffusivity=1e-3, drag=-0.02)
    torch.testing.assert_close(end[0], -other, rtol=0, atol=1e-6)


def test_a_forced_step_is_an_unforced_one_to_second_order_and_the_force():
    """Strang splitting in 400 steps around the unforced flow, which another library confirms."""
    pde, unforced = small(), small(forcing=0.0)
    start = pde.initial_state(SEEDS, pde.box())
    x, y = grid(pde)
    push = 0.1 * (torch.sin(x + y) + torch.cos(x + y)) / 400
    box = pde.box()
    stepper = ETDRK4(unforced.linear(box, PARAMETERS), unforced.nonlinear(box, PARAMETERS), 1 / 400)
    half, spectrum = box.transform(push) / 2, box.transform(start)
    for _ in range(400):
        spectrum = stepper.step(spectrum + half) + half
    state = box.inverse(spectrum)
    torch.testing.assert_close(advance(pde, PARAMETERS, start, 1.0, 50), state, rtol=0, atol=1e-6)


def test_order_four_in_time():
    pde = small(initial_scale=200.0)
    start = pde.initial_state(SEEDS, pde.box())
    start = pde.box().inverse(torch.exp(1e-3 * pde.box().laplacian) * pde.box().transform(start))
    assert 3.7 < order(pde, PARAMETERS, start, 1.0, 20) < 4.3


def test_convergence_in_space_is_spectral():
    """Every doubling of the points gains far more than any fixed order, from smooth data."""
    fine = small(resolution=(96, 96), initial_scale=60.0)
    x, y = grid(fine)
    start = (torch.sin(x) * torch.cos(2 * y) + torch.cos(x + y))[None, None]
    ends = {
        n: advance(small(resolution=(n, n)), PARAMETERS, start[..., :: 96 // n, :: 96 // n], 4.0, 200)
        for n in (12, 24, 48, 96)
    }
    errors = [(ends[n] - ends[96][..., :: 96 // n, :: 96 // n]).abs().max().item() for n in (12, 24, 48)]
    assert errors[2] < 1e-5
    assert errors[1] / errors[2] > 10 * errors[0] / errors[1] > 100


def test_refinement_keeps_the_points():
    refined, fine = vorticity(small(resolution=(16, 16), refinement=2)), vorticity(small())
    torch.testing.assert_close(refined, fine[..., ::2, ::2])


def test_precisions_agree():
    single, double = (vorticity(small(precision=precision)) for precision in ("float32", "float64"))
    torch.testing.assert_close(single, double, rtol=0, atol=1e-5)


def test_initial_vorticity_has_the_variance_that_is_announced():
    w = small(n_frames=1).initial_state(range(200), small().box())
    k = 2 * math.pi * torch.arange(-15, 16)
    square = (k[:, None] ** 2 + k**2).double()
    variance = 2 * 7**3 * ((square + 49) ** -2.5)[square > 0].sum()
    assert w.var().item() == pytest.approx(variance.item(), rel=0.1)


@pytest.mark.parametrize("viscosity", [1e-4, 1e-5])
def test_the_grid_of_the_reference_is_accepted_but_not_a_hopeless_one(viscosity):
    small(resolution=(64, 64), viscosities=(viscosity,), n_frames=21)
    with pytest.raises(ValueError, match=r"is too coarse for viscosity .* raise refinement to \d"):
        small(resolution=(64, 64), viscosities=(viscosity / 100,), n_frames=21)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"viscosities": ()}, "viscosities is empty"),
        ({"forcing": -1.0}, "forcing is -1"),
        ({"drag": math.inf}, "drag is inf"),
        ({"initial_scale": 0.0}, "initial_scale is 0"),
        ({"n_frames": 0}, "n_frames is 0"),
        ({"resolution": (2, 32)}, "at least 4 points"),
    ],
)
def test_impossible_values_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_layout():
    pde = NavierStokes()
    json.dumps(pde.settings)
    assert [pde.label(parameters) for parameters in pde.parameter_sets] == [
        f"navier_stokes_viscosity_{viscosity}" for viscosity in ("0.001", "0.0001", "1e-05")
    ]
    assert pde.schema.scalar_fields["vorticity"].shape == (1, 21, 64, 64)
    assert list(pde.schema.coordinates) == ["x", "y"]
