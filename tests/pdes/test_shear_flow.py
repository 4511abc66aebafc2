"""The shear flow against exact solutions, linear stability theory and its own equations."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import eigvals

from fno_lightning.pdes.shear_flow import ShearFlow
from tests.pdes.stepping import advance, derivative, order

PARAMETERS = {"Reynolds": 100.0, "Schmidt": 0.5}


def small(**options):
    options = {
        "resolution": (16, 32),
        "reynolds": [100.0],
        "schmidt": [0.5],
        "n_frames": 4,
        "widths": (1.0, 3.0),
        "refinement": 2,
    } | options
    return ShearFlow(**options)


def grid(pde):
    x, y = pde.box().coordinates
    return x[:, None], y


@pytest.fixture(scope="module")
def trajectories():
    return small().simulate(PARAMETERS, [3, 7])


def test_layout_is_that_of_the_real_data_set(trajectories):
    assert list(trajectories.scalar_fields) == ["tracer", "pressure"]
    assert list(trajectories.vector_fields) == ["velocity"]
    assert trajectories.scalar_fields["tracer"].shape == (2, 4, 16, 32)
    assert trajectories.vector_fields["velocity"].shape == (2, 4, 16, 32, 2)
    assert trajectories.coordinates["x"][0] == 0
    assert trajectories.coordinates["y"][0] == -1
    assert {name: value.item() for name, value in trajectories.scalars.items()} == {"Rayleigh": 100, "Schmidt": 0.5}


def test_schema_announces_what_is_simulated(trajectories):
    schema = small().schema
    assert schema.scalars.keys() == trajectories.scalars.keys()
    torch.testing.assert_close(schema.time, trajectories.time)
    for kind in ("scalar_fields", "vector_fields"):
        for name, field in getattr(trajectories, kind).items():
            announced = getattr(schema, kind)[name]
            assert (announced.is_meta, *announced.shape) == (True, 1, *field.shape[1:])


def test_labels_are_those_of_the_real_data_set():
    names = [ShearFlow().label(parameters) for parameters in ShearFlow().parameter_sets]
    assert len(set(names)) == 28
    assert {"shear_flow_Reynolds_1e4_Schmidt_1e-1", "shear_flow_Reynolds_5e5_Schmidt_2e0"} < set(names)
    assert small().label({"Reynolds": 1250.0, "Schmidt": 1e3}) == "shear_flow_Reynolds_1.25e3_Schmidt_1e3"


def test_moving_taylor_green_vortices_decay(monkeypatch):
    """Velocity and pressure of a Taylor-Green vortex in a uniform stream, and a tracer wave carried by that stream."""
    pde = small(n_frames=3, frame_interval=0.5, resolution=(24, 24), refinement=1)
    stream, a, b, nu = 0.4, 2 * math.pi, math.pi, 1e-2

    def exact(time):
        x, y = grid(pde)
        x = x - stream * time
        decay = math.exp(-nu * (a**2 + b**2) * time)
        u = stream + 0.2 * b * decay * torch.sin(a * x) * torch.cos(b * y)
        v = -0.2 * a * decay * torch.cos(a * x) * torch.sin(b * y)
        pressure = 0.01 * decay**2 * (b**2 * torch.cos(2 * a * x) + a**2 * torch.cos(2 * b * y))
        return u, v, pressure

    start = torch.stack([*exact(0.0)[:2], torch.zeros(24, 24, dtype=torch.float64)])[None]
    monkeypatch.setattr(ShearFlow, "initial_state", lambda *_: start)
    result = pde.simulate(PARAMETERS, [0])
    for frame, time in enumerate(result.time.tolist()):
        u, v, pressure = (field.float() for field in exact(time))
        torch.testing.assert_close(result.vector_fields["velocity"][0, frame, ..., 0], u, rtol=0, atol=1e-6)
        torch.testing.assert_close(result.vector_fields["velocity"][0, frame, ..., 1], v, rtol=0, atol=1e-6)
        torch.testing.assert_close(result.scalar_fields["pressure"][0, frame], pressure, rtol=0, atol=1e-6)


def test_a_tracer_wave_is_carried_and_diffuses():
    pde = small()
    x, y = grid(pde)
    zero = torch.zeros_like(x + y)
    k, time = 4 * math.pi, 0.7
    start = torch.stack([zero + 0.3, zero - 0.2, torch.cos(k * x + math.pi * y)])[None]
    result = advance(pde, PARAMETERS, start, time, 200)
    decay = math.exp(-0.02 * (k**2 + math.pi**2) * time)
    exact = decay * torch.cos(k * (x - 0.3 * time) + math.pi * (y + 0.2 * time))
    torch.testing.assert_close(result[0, 2], exact, rtol=0, atol=1e-9)


def test_frames_satisfy_the_equations():
    """Centred differences in time and derivatives by numpy's transform; the convective form, with the pressure."""
    dt = 2e-3
    pde = small(n_frames=3, frame_interval=dt, resolution=(32, 64), refinement=1, precision="float64")
    state = pde.initial_state([3], pde.box())
    state = advance(pde, PARAMETERS, state, 0.5, 100)
    before, after = (advance(pde, PARAMETERS, state, sign * dt, 1) for sign in (-1, 1))
    u, v, s = state[0]
    frame = pde.frame(pde.box().transform(state), pde.box(), PARAMETERS)
    pressure = frame.scalar_fields["pressure"][0]
    change = (after - before)[0] / (2 * dt)

    def advected(field, diffusivity, gradient):
        d_x, d_y = derivative(field, 0, 1.0), derivative(field, 1, 2.0)
        laplacian = derivative(d_x, 0, 1.0) + derivative(d_y, 1, 2.0)
        return u * d_x + v * d_y + gradient - diffusivity * laplacian

    torch.testing.assert_close(change[0], -advected(u, 0.01, derivative(pressure, 0, 1.0)), rtol=0, atol=2e-4)
    torch.testing.assert_close(change[1], -advected(v, 0.01, derivative(pressure, 1, 2.0)), rtol=0, atol=2e-4)
    torch.testing.assert_close(change[2], -advected(s, 0.02, 0.0), rtol=0, atol=2e-4)
    assert change[:2].abs().max() > 0.1
    assert (derivative(u, 0, 1.0) + derivative(v, 1, 2.0)).abs().max() < 1e-12


def growth_rate(velocity, y, k):
    """Of the most unstable inviscid wave: Rayleigh's equation by finite differences of fourth order, periodic."""
    n, h = len(y), y[1] - y[0]
    offsets, weights = (-2, -1, 0, 1, 2), np.array([-1, 16, -30, 16, -1]) / (12 * h**2)
    second = sum(w * np.roll(np.eye(n), offset, axis=1) for offset, w in zip(offsets, weights, strict=True))
    operator = second - k**2 * np.eye(n)
    speeds = eigvals(np.diag(velocity) @ operator - np.diag(second @ velocity), operator)
    return k * speeds.imag.max()


def test_layers_grow_as_linear_stability_theory_says():
    """The energy across the streams of a tiny wave, once the fastest mode has outgrown the others."""
    pde = small(resolution=(8, 128), reynolds=[1e7], n_layers=[2], n_waves=[1], widths=(1.0, 1.0), perturbation=1e-7)
    parameters = {"Reynolds": 1e7, "Schmidt": 0.5}
    box = pde.box()
    start = pde.initial_state([0], box)
    stream = start[0, 0].mean(dim=0).numpy()
    early = advance(pde, parameters, start, 3.0, 600)
    late = advance(pde, parameters, early, 1.0, 200)
    growth = 0.5 * math.log((late[:, 1].square().mean() / early[:, 1].square().mean()).item())
    assert growth == pytest.approx(growth_rate(stream, box.coordinates[1].numpy(), 2 * math.pi), rel=0.01)


def test_fourth_order_in_time():
    pde = small(resolution=(32, 64), refinement=1)
    state = advance(pde, PARAMETERS, pde.initial_state([3], pde.box()), 0.5, 100)
    assert order(pde, PARAMETERS, state, 0.4, 8) == pytest.approx(4, abs=0.3)


def test_spectral_in_space():
    coarse, medium, fine = (
        advance(pde, PARAMETERS, pde.initial_state([3], pde.box()), 0.5, 100)[..., :: n // 16, :: n // 16]
        for n in (16, 32, 64)
        for pde in [small(resolution=(n, 2 * n), refinement=1)]
    )
    assert (medium - fine).abs().max() < 1e-2 * (coarse - fine).abs().max()


def test_the_mean_velocity_and_the_tracer_are_conserved(trajectories):
    pde = small()
    start = pde.initial_state([3, 7], pde.box())
    result = advance(pde, PARAMETERS, start, 1.0, 100)
    torch.testing.assert_close(result.mean(dim=(2, 3)), start.mean(dim=(2, 3)), rtol=0, atol=1e-13)
    assert trajectories.scalar_fields["pressure"].mean(dim=(2, 3)).abs().max() < 1e-3


def test_streams_have_the_drawn_number_of_layers():
    """At a velocity difference of 1, with the tracer as the streams."""
    pde = ShearFlow((32, 256), n_layers=[4], widths=(0.25, 0.25))
    u, _, s = pde.initial_state([1], pde.box())[0]
    stream = s[0]
    assert stream.amax() == pytest.approx(0.5, abs=1e-3)
    assert stream.amin() == pytest.approx(-0.5, abs=1e-3)
    assert (stream.sign() != stream.roll(1).sign()).sum() == 4
    torch.testing.assert_close(u.mean(dim=0), stream, rtol=0, atol=1e-12)


def test_a_seed_means_the_same_functions_on_every_grid():
    coarse, fine = (
        pde.initial_state([5, 6, 7], pde.box()) for n in (64, 128) for pde in [small(resolution=(n, 2 * n))]
    )
    torch.testing.assert_close(fine[..., ::2, ::2], coarse, rtol=0, atol=1e-8)


def test_a_trajectory_depends_on_its_seed_alone(trajectories):
    alone, other = small().simulate(PARAMETERS, [7]), small().simulate(PARAMETERS, [8])
    velocity = trajectories.vector_fields["velocity"]
    torch.testing.assert_close(alone.vector_fields["velocity"][0], velocity[1], rtol=1e-6, atol=1e-6)
    assert not torch.allclose(other.vector_fields["velocity"][0], velocity[1], atol=1e-2)


def test_what_the_grid_does_not_resolve_is_refused():
    with pytest.raises(FloatingPointError, match=r"seeds \[0\]"):
        small(widths=(0.05, 0.05), reynolds=[1e5], n_frames=40).simulate({"Reynolds": 1e5, "Schmidt": 1.0}, [0])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("resolution", (2, 32)),
        ("reynolds", ()),
        ("schmidt", (-1.0,)),
        ("n_frames", 0),
        ("frame_interval", 0.0),
        ("n_layers", (2, 3)),
        ("n_layers", ()),
        ("n_waves", (0,)),
        ("widths", (2.0, 1.0)),
        ("widths", (1.0, 40.0)),
        ("perturbation", -0.1),
        ("refinement", 0),
    ],
)
def test_impossible_values_are_named(option, value):
    with pytest.raises(ValueError, match=option):
        small(**{option: value})
