"""The Gray-Scott equations against exponax, an ordinary differential equation and known patterns."""

import json

import jax
import numpy as np
import pytest
import torch
from exponax.stepper.reaction import GrayScott as GrayScottStepper
from scipy.integrate import solve_ivp

from fno_lightning.pdes.gray_scott import GrayScott
from tests.pdes.stepping import advance, order

SPOTS = {"F": 0.03, "k": 0.062}


def small(**options):
    options = {
        "resolution": (16, 16),
        "rates": [(0.03, 0.062)],
        "n_frames": 4,
        "frame_interval": 5.0,
        "diffusivity_a": 8e-5,
        "diffusivity_b": 4e-5,
        "refinement": 4,
    } | options
    return GrayScott(**options)


def smooth(n=24, **options):
    """With so much diffusion that few points resolve the solution."""
    return small(resolution=(n, n), refinement=1, diffusivity_a=4e-3, diffusivity_b=2e-3, **options)


def bumps(box):
    """A and B with a few smooth bumps, away from any steady state."""
    x, y = box.coordinates
    x = x[:, None]
    shape = torch.cos(torch.pi * x) * torch.sin(torch.pi * y) + 0.3 * torch.sin(2 * torch.pi * (x + y))
    return torch.stack([0.6 - 0.2 * shape, 0.25 + 0.15 * shape])[None]


@pytest.fixture(scope="module")
def trajectories():
    return small().simulate(SPOTS, [3, 7])


def test_layout_is_that_of_the_real_data_set(trajectories):
    assert list(trajectories.scalar_fields) == ["A", "B"]
    assert not trajectories.vector_fields
    assert trajectories.scalar_fields["B"].shape == (2, 4, 16, 16)
    assert trajectories.boundaries == {"x": ("periodic", "periodic"), "y": ("periodic", "periodic")}
    assert trajectories.coordinates["x"][0] == -1
    assert trajectories.coordinates["y"][-1] == pytest.approx(1 - 2 / 16)
    assert {name: value.item() for name, value in trajectories.scalars.items()} == pytest.approx(SPOTS)


def test_schema_announces_what_is_simulated(trajectories):
    schema = small().schema
    torch.testing.assert_close(schema.time, trajectories.time)
    for name, field in trajectories.scalar_fields.items():
        announced = schema.scalar_fields[name]
        assert (announced.is_meta, *announced.shape) == (True, 1, *field.shape[1:])


def test_labels_are_those_of_the_real_data_set():
    names = [GrayScott().label(parameters) for parameters in GrayScott().parameter_sets]
    assert names[0] == "gray_scott_reaction_diffusion_gliders_F_0.014_k_0.054"
    assert names[5] == "gray_scott_reaction_diffusion_spots_F_0.03_k_0.062"
    assert small().label({"F": 0.02, "k": 0.06}) == "gray_scott_reaction_diffusion_F_0.02_k_0.06"


def test_agrees_with_exponax():
    pde = smooth(32)
    start = bumps(pde.box())
    ours = advance(pde, SPOTS, start, 40.0, 160)[0]
    with jax.enable_x64(True):
        stepper = GrayScottStepper(
            2, 2.0, 32, 0.25, diffusivity_1=4e-3, diffusivity_2=2e-3, feed_rate=0.03, kill_rate=0.062, order=4
        )
        theirs = jax.lax.fori_loop(0, 160, lambda _, u: stepper(u), jax.numpy.asarray(start[0].numpy()))
        theirs = torch.from_numpy(np.array(theirs))
    assert (ours - start[0]).abs().max() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-7)


def test_uniform_concentrations_obey_the_reaction_alone():
    pde = smooth()
    start = torch.tensor([0.5, 0.4], dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, 24, 24)
    result = advance(pde, SPOTS, start, 50.0, 200)
    f, k = SPOTS["F"], SPOTS["k"]
    exact = solve_ivp(
        lambda _, u: [-u[0] * u[1] ** 2 + f * (1 - u[0]), u[0] * u[1] ** 2 - (f + k) * u[1]],
        (0, 50),
        [0.5, 0.4],
        rtol=1e-11,
        atol=1e-12,
    ).y[:, -1]
    torch.testing.assert_close(result[0].mean(dim=(1, 2)), torch.from_numpy(exact), rtol=1e-7, atol=0)
    assert result.var(dim=(2, 3)).max() < 1e-28


def test_fourth_order_in_time():
    pde = smooth()
    assert order(pde, SPOTS, bumps(pde.box()), 16.0, 4) == pytest.approx(4, abs=0.3)


def test_spectral_in_space():
    """Doubling the points divides the error by far more than any order of convergence."""
    coarse, medium, fine = (
        advance(pde, SPOTS, bumps(pde.box()), 30.0, 60)[..., :: n // 12, :: n // 12]
        for n in (12, 24, 48)
        for pde in [smooth(n)]
    )
    assert (medium - fine).abs().max() < 1e-3 * (coarse - fine).abs().max()


def test_total_changes_by_feed_and_removal_alone():
    """The mean of A + B against the trapezoidal rule, from the frames alone."""
    fine = small(resolution=(64, 64), refinement=1, n_frames=41, frame_interval=0.25).simulate(SPOTS, [3])
    a, b = (fine.scalar_fields[name].double().mean(dim=(2, 3)) for name in ("A", "B"))
    rate = 0.03 * (1 - a) - 0.092 * b
    change = (a + b)[:, -1] - (a + b)[:, 0]
    torch.testing.assert_close(change, torch.trapezoid(rate, dx=0.25), rtol=1e-4, atol=0)


def test_a_maze_grows_until_it_fills_the_square():
    """The variance of B falls, while the first blobs react, then grows and saturates."""
    maze = small(start="gaussians", n_frames=21, frame_interval=100.0, diffusivity_a=3.2e-4, diffusivity_b=1.6e-4)
    variance = maze.simulate({"F": 0.029, "k": 0.057}, [1]).scalar_fields["B"][0].var(dim=(1, 2))
    assert variance[5:].max() < 2 * variance[-1]
    assert variance[-5:].std() < 0.05 * variance[-1]
    assert variance[-1] > 0.004


@pytest.mark.parametrize("start", ["gaussians", "fourier", "both"])
def test_a_seed_means_the_same_functions_on_every_grid(start):
    coarse, fine = (
        pde.initial_state([5, 6], pde.box())
        for n in (8, 16)
        for pde in [small(resolution=(n, n), refinement=16, start=start)]
    )
    torch.testing.assert_close(fine[..., ::2, ::2], coarse, rtol=0, atol=1e-5)


def test_initial_states_are_of_two_kinds():
    both, *kinds = (small(start=start) for start in ("both", "gaussians", "fourier"))
    gaussians, series = (pde.initial_state(range(20), pde.box()) for pde in kinds)
    state = both.initial_state(range(20), both.box())
    of_gaussians = (state == gaussians).flatten(1).all(dim=1)
    of_series = (state == series).flatten(1).all(dim=1)
    assert (of_gaussians ^ of_series).all()
    assert 5 <= of_gaussians.sum() <= 15


def test_a_trajectory_depends_on_its_seed_alone(trajectories):
    alone, other = small().simulate(SPOTS, [7]), small().simulate(SPOTS, [8])
    for name, field in trajectories.scalar_fields.items():
        torch.testing.assert_close(alone.scalar_fields[name][0], field[1], rtol=1e-6, atol=1e-6)
        assert not torch.allclose(other.scalar_fields[name][0], field[1], atol=1e-2)


def test_precisions_agree(trajectories):
    single = small(precision="float32").simulate(SPOTS, [3, 7])
    for name, field in single.scalar_fields.items():
        torch.testing.assert_close(field, trajectories.scalar_fields[name], rtol=0, atol=1e-4)


def test_fronts_that_the_grid_does_not_resolve_are_refused():
    with pytest.raises(FloatingPointError, match=r"seeds \[0, 1\]"):
        small(diffusivity_a=5e-6, diffusivity_b=2.5e-6, frame_interval=50.0).simulate(SPOTS, [0, 1])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("resolution", (2, 24)),
        ("rates", ()),
        ("rates", [(0.03, -0.06)]),
        ("n_frames", 0),
        ("frame_interval", 0.0),
        ("diffusivity_a", -1.0),
        ("time_step", float("nan")),
        ("refinement", 0),
    ],
)
def test_impossible_values_are_named(option, value):
    with pytest.raises(ValueError, match=option):
        small(**{option: value})


def test_settings_identify_the_trajectories():
    assert json.loads(json.dumps(small().settings)) == json.loads(json.dumps(small(rates=((0.03, 0.062),)).settings))
    assert small(start="fourier").settings != small().settings
