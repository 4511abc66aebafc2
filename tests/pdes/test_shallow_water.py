"""Shallow water against exact waves, exact balance, its own equations and conserved quantities."""

import math

import pytest
import torch

from fno_lightning.pdes.shallow_water import ShallowWater
from tests.pdes.stepping import advance, derivative, order

PARAMETERS = {"coriolis_parameter": 5.0}


def small(**options):
    options = {
        "resolution": (16, 16),
        "coriolis_parameters": [5.0],
        "n_frames": 4,
        "scale": 0.5,
        "hyperviscosity": 1e-6,
        "refinement": 2,
    } | options
    return ShallowWater(**options)


def fields(state, f=5.0, gravity=1.0, depth=1.0):
    """Height and velocity of a state."""
    return depth + f / gravity * state[:, 0], state[:, 1], state[:, 2]


@pytest.fixture(scope="module")
def trajectories():
    return small().simulate(PARAMETERS, [3, 7])


def test_layout(trajectories):
    assert list(trajectories.scalar_fields) == ["height"]
    assert list(trajectories.vector_fields) == ["velocity"]
    assert trajectories.scalar_fields["height"].shape == (2, 4, 16, 16)
    assert trajectories.vector_fields["velocity"].shape == (2, 4, 16, 16, 2)
    assert trajectories.scalars["coriolis_parameter"] == 5
    assert trajectories.coordinates["x"][-1] == 1 - 1 / 16


def test_schema_announces_what_is_simulated(trajectories):
    schema = small().schema
    assert schema.scalars.keys() == trajectories.scalars.keys()
    torch.testing.assert_close(schema.time, trajectories.time)
    for kind in ("scalar_fields", "vector_fields"):
        for name, field in getattr(trajectories, kind).items():
            announced = getattr(schema, kind)[name]
            assert (announced.is_meta, *announced.shape) == (True, 1, *field.shape[1:])


@pytest.mark.parametrize(("f", "wave"), [(5.0, (1, 0)), (5.0, (2, 1)), (20.0, (0, 1)), (20.0, (3, 2))])
def test_inertia_gravity_waves_have_the_exact_dispersion_relation(f, wave):
    """A travelling wave of tiny amplitude, after a time at which it has gone some way."""
    pde = small(gravity=2.0, mean_depth=0.5, hyperviscosity=0.0)
    x, y = pde.box().coordinates
    k_x, k_y = (2 * math.pi * number for number in wave)
    omega, time = math.sqrt(f**2 + 2.0 * 0.5 * (k_x**2 + k_y**2)), 0.37

    def exact(time):
        phase = k_x * x[:, None] + k_y * y - omega * time
        c, s, square = torch.cos(phase), torch.sin(phase), k_x**2 + k_y**2
        height, u, v = 0.5 * c, (omega * k_x * c - f * k_y * s) / square, (omega * k_y * c + f * k_x * s) / square
        return 1e-7 * torch.stack([2.0 / f * height, u, v])[None]

    result = advance(pde, {"coriolis_parameter": f}, exact(0.0), time, 400)
    torch.testing.assert_close(result, exact(time), rtol=0, atol=1e-5 * 1e-7)


def test_a_balanced_zonal_flow_stays(monkeypatch):
    """Nonlinear, and of any profile, for nothing changes along the flow."""
    pde = small(hyperviscosity=0.0, n_frames=11, frame_interval=0.5)
    _, y = pde.box().coordinates
    stream = 0.05 * torch.cos(2 * math.pi * y) + 0.01 * torch.sin(6 * math.pi * y)
    u = 0.1 * math.pi * torch.sin(2 * math.pi * y) - 0.06 * math.pi * torch.cos(6 * math.pi * y)
    start = torch.stack([stream, u, torch.zeros_like(u)])[None, :, None].expand(1, 3, 32, 32)
    monkeypatch.setattr(ShallowWater, "initial_state", lambda *_: start)
    result = pde.simulate(PARAMETERS, [0])
    for field in (result.scalar_fields["height"], result.vector_fields["velocity"]):
        torch.testing.assert_close(field[:, 1:], field[:, :1].expand_as(field[:, 1:]), rtol=0, atol=1e-6)


def test_frames_satisfy_the_equations():
    """Centred differences in time and derivatives by numpy's transform; the convective form, without hyperviscosity."""
    pde, dt, f = small(resolution=(48, 48), refinement=1, hyperviscosity=0.0), 1e-4, 5.0
    state = advance(pde, PARAMETERS, pde.initial_state([3], pde.box()), 0.3, 60)
    before, after = (fields(advance(pde, PARAMETERS, state, sign * dt, 1)) for sign in (-1, 1))
    change_h, change_u, change_v = ((b - a)[0] / (2 * dt) for a, b in zip(before, after, strict=True))
    h, u, v = (field[0] for field in fields(state))

    def gradient(field):
        return derivative(field, 0, 1.0), derivative(field, 1, 1.0)

    (h_x, h_y), (u_x, u_y), (v_x, v_y) = map(gradient, (h, u, v))
    flux = derivative(h * u, 0, 1.0) + derivative(h * v, 1, 1.0)
    torch.testing.assert_close(change_h, -flux, rtol=0, atol=1e-3)
    torch.testing.assert_close(change_u, -u * u_x - v * u_y + f * v - h_x, rtol=0, atol=1e-3)
    torch.testing.assert_close(change_v, -u * v_x - v * v_y - f * u - h_y, rtol=0, atol=1e-3)
    assert change_u.abs().max() > 0.3


def test_mass_is_conserved_to_round_off():
    pde = small()
    start = pde.initial_state([3, 7], pde.box())
    result = advance(pde, PARAMETERS, start, 2.0, 200)
    before, after = (fields(state)[0].mean(dim=(1, 2)) for state in (start, result))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-14)


def test_energy_is_conserved_without_hyperviscosity():
    pde = small(resolution=(48, 48), refinement=1, hyperviscosity=0.0)
    start = pde.initial_state([3], pde.box())

    def energy(state):
        h, u, v = fields(state)
        return (0.5 * h * (u * u + v * v) + 0.5 * h * h).mean() - 0.5

    result = advance(pde, PARAMETERS, start, 0.5, 200)
    assert energy(result).item() == pytest.approx(energy(start).item(), rel=1e-6)
    assert energy(start) > 0.02


def test_hyperviscosity_damps_a_wave_by_its_fourth_power():
    pde = small(hyperviscosity=1e-4)
    assert pde.linear(pde.box(), PARAMETERS)[3, 2].item() == pytest.approx(-1e-4 * (2 * math.pi) ** 4 * 13**2)


def test_fourth_order_in_time():
    pde = small()
    assert order(pde, PARAMETERS, pde.initial_state([3], pde.box()), 0.3, 24) == pytest.approx(4, abs=0.3)


def test_spectral_in_space():
    coarse, medium, fine = (
        advance(pde, PARAMETERS, pde.initial_state([3], pde.box()), 0.2, 60)[..., :: n // 16, :: n // 16]
        for n in (16, 32, 64)
        for pde in [small(resolution=(n, n), refinement=1)]
    )
    assert (medium - fine).abs().max() < 5e-2 * (coarse - fine).abs().max()


def test_the_initial_state_is_in_geostrophic_balance():
    pde = small()
    state = pde.initial_state([3, 7], pde.box())
    h, u, v = fields(state)
    torch.testing.assert_close(5.0 * v, derivative(h, 1, 1.0), rtol=0, atol=1e-12)
    torch.testing.assert_close(-5.0 * u, derivative(h, 2, 1.0), rtol=0, atol=1e-12)
    speed = (u * u + v * v).mean(dim=(1, 2)).sqrt()
    torch.testing.assert_close(speed, torch.full((2,), 0.2, dtype=torch.float64), rtol=1e-12, atol=0)


def test_a_seed_means_the_same_functions_on_every_grid():
    coarse, fine = (pde.initial_state([5, 6], pde.box()) for n in (32, 64) for pde in [small(resolution=(n, n))])
    torch.testing.assert_close(fine[..., ::2, ::2], coarse, rtol=0, atol=1e-4)


def test_a_trajectory_depends_on_its_seed_alone(trajectories):
    alone, other = small().simulate(PARAMETERS, [7]), small().simulate(PARAMETERS, [8])
    height = trajectories.scalar_fields["height"]
    torch.testing.assert_close(alone.scalar_fields["height"][0], height[1], rtol=1e-6, atol=1e-6)
    assert not torch.allclose(other.scalar_fields["height"][0], height[1], atol=1e-2)


def test_precisions_agree(trajectories):
    single = small(precision="float32").simulate(PARAMETERS, [3, 7])
    height = trajectories.scalar_fields["height"]
    torch.testing.assert_close(single.scalar_fields["height"], height, rtol=0, atol=1e-4)


def test_dry_ground_is_refused():
    with pytest.raises(FloatingPointError, match=r"dry in the simulation of seeds \[3\]"):
        small(speed=0.7, n_frames=1, coriolis_parameters=[40.0]).simulate({"coriolis_parameter": 40.0}, [3])


def test_what_the_grid_does_not_resolve_is_refused():
    with pytest.raises(FloatingPointError, match=r"seeds \[3\]: the grid does not resolve"):
        small(scale=0.25, hyperviscosity=0.0, n_frames=30).simulate(PARAMETERS, [3])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("resolution", (2, 16)),
        ("coriolis_parameters", ()),
        ("coriolis_parameters", (0.0,)),
        ("n_frames", 0),
        ("frame_interval", 0.0),
        ("gravity", -1.0),
        ("mean_depth", 0.0),
        ("speed", float("nan")),
        ("scale", 0.0),
        ("hyperviscosity", -1e-9),
        ("refinement", 0),
    ],
)
def test_impossible_values_are_named(option, value):
    with pytest.raises(ValueError, match=option):
        small(**{option: value})
