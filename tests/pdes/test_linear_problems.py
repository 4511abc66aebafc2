"""Poisson, advection-diffusion and Helmholtz: exact solutions, statistics of the study they come from, clear errors."""

import json
import math

import numpy as np
import pytest
import torch

from fno_lightning.pdes import AdvectionDiffusion, Helmholtz, Poisson, steady
from fno_lightning.pdes.linear import Coefficients, linear_residual, solve_linear
from fno_lightning.pdes.solvers.periodic_box import PeriodicBox

PROBLEMS = [Poisson(), AdvectionDiffusion(), Helmholtz(), Helmholtz(omegas=(0.5, 4.5), integer=False)]
SMALL = [type(problem)(resolution=(32, 40)) for problem in PROBLEMS[:3]]


def ids(problem):
    return type(problem).__name__


def derivatives(field):
    """Gradient and second derivatives of periodic fields by finite differences of eighth order, x on the first axis."""
    first = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}

    def derive(values, axis):
        n = values.shape[axis]
        return sum(
            weight * n * (values.roll(-shift, axis) - values.roll(shift, axis)) for shift, weight in first.items()
        )

    dx, dy = derive(field, 1), derive(field, 2)
    return dx, dy, derive(dx, 1), derive(dy, 2), derive(dx, 2)


@pytest.mark.parametrize("resolution", [(16, 16), (15, 21)])
@pytest.mark.parametrize("velocity", [(0.0, 0.0), (0.3, -0.7)])
def test_a_manufactured_solution_is_found(resolution, velocity):
    box = PeriodicBox(resolution, (1.0, 1.0))
    x, y = torch.meshgrid(*box.coordinates, indexing="ij")
    xx, yy, xy, omega = 0.02, 0.05, -0.01, 0.4
    phase = 2 * math.pi * (x + 2 * y)
    solution = torch.sin(phase) + 0.5 * torch.cos(6 * math.pi * x)
    source = (2 * math.pi) ** 2 * (xx + 4 * yy + 4 * xy) * torch.sin(phase)
    source += 0.5 * xx * (6 * math.pi) ** 2 * torch.cos(6 * math.pi * x)
    source += 2 * math.pi * (velocity[0] + 2 * velocity[1]) * torch.cos(phase)
    source -= velocity[0] * 3 * math.pi * torch.sin(6 * math.pi * x)
    source -= omega * solution
    coefficients = Coefficients._make(torch.tensor([[xx], [yy], [xy], [velocity[0]], [velocity[1]], [omega]]).double())
    found = solve_linear(source[None], coefficients, box)
    torch.testing.assert_close(found[0], solution, rtol=0, atol=1e-7)  # coefficients are rounded to float32 above
    assert linear_residual(found, source[None], coefficients, box) < 1e-13
    assert linear_residual(1.01 * found, source[None], coefficients, box) == pytest.approx(0.01)


@pytest.mark.parametrize("problem", PROBLEMS, ids=ids)
def test_finite_differences_of_the_solution_give_the_source(problem):
    part = problem.solve(range(4), "cpu")
    source, s = part.constant_fields["source"], {name: value.view(-1, 1, 1) for name, value in part.scalars.items()}
    dx, dy, dxx, dyy, dxy = derivatives(part.solution)
    applied = -s["diffusion_xx"] * dxx - s["diffusion_yy"] * dyy
    if "diffusion_xy" in s:
        applied -= 2 * s["diffusion_xy"] * dxy
    if "velocity_x" in s:
        applied += s["velocity_x"] * dx + s["velocity_y"] * dy
    if "omega" in s:
        applied -= s["omega"] * part.solution
    error = (applied - source).flatten(1).norm(dim=1) / source.flatten(1).norm(dim=1)
    assert error.max() < 2e-4
    assert part.residual.max() < 1e-11


def test_statistics_are_those_of_the_study():
    """Medians of 100 samples at 128 x 128, as re-derived from the study's code: its own medians vary by some 10 %."""
    part = Poisson().solve(range(100), "cpu")
    norm = part.constant_fields["source"].flatten(1).norm(dim=1) / 128**2
    assert norm.median() == pytest.approx(1.7e-3, rel=0.15)
    assert part.solution.flatten(1).abs().amax(dim=1).median() == pytest.approx(0.37, rel=0.25)
    for name, median in {"diffusion_xx": 0.018, "diffusion_yy": 0.016, "diffusion_xy": 0.0056}.items():
        assert part.scalars[name].abs().median() == pytest.approx(median, rel=0.2)
    part = Helmholtz().solve(range(100), "cpu")
    norm = part.constant_fields["source"].flatten(1).norm(dim=1) / 128**2
    assert norm.median() == pytest.approx(2.2e-3, rel=0.15)
    assert part.solution.flatten(1).abs().amax(dim=1).median() == pytest.approx(0.73, rel=0.25)


def test_eigenvalues_are_in_the_asked_range():
    scalars = Poisson(resolution=(32, 32), eigenvalues=(2.5, 7.5)).solve(range(200), "cpu").scalars
    xx, yy, xy = (scalars[f"diffusion_{name}"] / 0.01 for name in ("xx", "yy", "xy"))
    tensors = torch.stack((torch.stack((xx, xy)), torch.stack((xy, yy)))).movedim(2, 0)
    lower, upper = torch.linalg.eigvalsh(tensors).T
    torch.testing.assert_close(lower, torch.ones_like(lower))
    assert 2.5 <= upper.min() < 2.7
    assert 7.3 < upper.max() <= 7.5


@pytest.mark.parametrize("ratios", [(0.2, 1.0), (2.0, 5.0), (0.7, 0.7)])
def test_advection_and_diffusion_have_the_asked_ratio(ratios):
    pde = AdvectionDiffusion(resolution=(64, 64), ratios=ratios)
    part = pde.solve(range(50), "cpu")
    s = {name: value.view(-1, 1, 1) for name, value in part.scalars.items()}
    dx, dy, dxx, dyy, dxy = (torch.from_numpy(d) for d in spectral_derivatives(part.solution.numpy()))
    advection = s["velocity_x"] * dx + s["velocity_y"] * dy
    diffusion = s["diffusion_xx"] * dxx + s["diffusion_yy"] * dyy + 2 * s["diffusion_xy"] * dxy
    found = advection.flatten(1).norm(dim=1) / diffusion.flatten(1).norm(dim=1)
    wanted = torch.tensor([asked_ratio(seed, ratios) for seed in range(50)])
    torch.testing.assert_close(found, wanted.double(), rtol=1e-6, atol=0)


def spectral_derivatives(field):
    k = 2 * np.pi * np.fft.fftfreq(field.shape[-1], 1 / field.shape[-1])
    kx, ky = k[:, None], k[None, :]
    spectrum = np.fft.fft2(field)
    return [np.fft.ifft2(factor * spectrum).real for factor in (1j * kx, 1j * ky, -(kx**2), -(ky**2), -kx * ky)]


def asked_ratio(seed, ratios):
    """The last number that a seed draws."""
    generator = np.random.default_rng(seed)
    pde = AdvectionDiffusion(resolution=(32, 32))
    pde.sources.draw([generator])
    generator.uniform(size=3)  # eigenvalue, and the angles of rotation and of the velocity
    return generator.uniform(*ratios)


def test_solutions_of_helmholtz_are_bounded():
    part = Helmholtz().solve(range(64), "cpu")
    assert part.solution.abs().max() <= 2.0
    assert part.solution.abs().max() > 1.5
    omega = part.scalars["omega"]
    torch.testing.assert_close(omega, omega.round())
    assert (omega.min(), omega.max()) == (1, 10)
    unbounded = Helmholtz(max_solution=1e9).solve(range(64), "cpu")
    assert unbounded.solution.abs().max() > 2.0
    with pytest.raises(FloatingPointError, match=r"no solution below max_solution = 1e-06 for seeds \[5\]: raise it"):
        Helmholtz(max_solution=1e-6, resolution=(32, 32)).solve([5], "cpu")


@pytest.mark.parametrize("problem", SMALL, ids=ids)
def test_a_seed_is_the_same_sample_in_every_batch_and_on_every_grid(problem):
    alone, among = problem.solve([7], "cpu"), problem.solve([3, 7, 11], "cpu")
    torch.testing.assert_close(alone.solution[0], among.solution[1])
    finer = problem.at_resolution((64, 80)).solve([7], "cpu")
    for name, value in alone.scalars.items():
        torch.testing.assert_close(finer.scalars[name], value, rtol=1e-3, atol=0)
    coarse, fine = alone.solution[0], finer.solution[0, ::2, ::2]
    assert (coarse - fine).norm() < 0.02 * fine.norm()  # 32 points barely resolve the sources


@pytest.mark.parametrize("problem", SMALL, ids=ids)
def test_schema_announces_what_is_simulated(problem):
    schema, samples = problem.schema, problem.simulate({}, [1, 2])
    assert schema.coordinates.keys() == samples.coordinates.keys()
    assert schema.boundaries == samples.boundaries == {"x": ("periodic",) * 2, "y": ("periodic",) * 2}
    assert schema.scalars.keys() == samples.scalars.keys()
    assert {len(value) for value in samples.scalars.values()} == {2}
    assert samples.scalar_fields["solution"].shape == (2, 1, 32, 40)
    assert samples.constant_fields["source"].shape == (2, 32, 40)
    assert schema.scalar_fields["solution"].shape == (1, 1, 32, 40)
    assert schema.constant_fields["source"].is_meta
    json.dumps(problem.settings)


def test_many_samples_are_solved_in_pieces(monkeypatch):
    problem, done = SMALL[0], []
    whole = problem.simulate({}, range(5))
    monkeypatch.setitem(steady.POINTS_AT_ONCE, "cpu", 2 * 32 * 40)
    pieces = problem.simulate({}, range(5), progress=done.append)
    torch.testing.assert_close(pieces.scalar_fields["solution"], whole.scalar_fields["solution"])
    assert done == [2 / 5, 4 / 5, 1]


def test_a_wrong_solution_is_refused(monkeypatch):
    def wrong(source, coefficients, box):
        solution = solve_linear(source, coefficients, box)
        solution[1] *= 1 + 1e-6
        return solution

    monkeypatch.setattr("fno_lightning.pdes.linear.solve_linear", wrong)
    with pytest.raises(
        FloatingPointError, match=r"Poisson is not solved for seeds \[8\]: relative residuals \['1e-06'\]"
    ):
        SMALL[0].simulate({}, [7, 8, 9])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Poisson(resolution=(64, 2)), r"resolution is \[64, 2\], expected at least 4 points"),
        (
            lambda: Poisson(resolution=(16, 64)),
            r"too coarse for Gaussians of width sigma = 0.03125: choose at least 32",
        ),
        (lambda: Poisson(eigenvalues=(5.0, 1.0)), r"eigenvalues is \(5.0, 1.0\), expected \(lowest, highest\)"),
        (lambda: Poisson(eigenvalues=(0.0, 1.0)), r"eigenvalues is \(0.0, 1.0\), expected positive"),
        (lambda: Poisson(diffusion=-0.01), r"diffusion is -0.01, expected positive"),
        (lambda: Poisson(sparsities=(1.0,)), r"sparsities are \(1.0,\), expected fractions"),
        (lambda: Poisson(n_gaussians=20), r"20 Gaussians 0.0625 apart do not fit into the unit square"),
        (lambda: AdvectionDiffusion(ratios=(1.0, 0.2)), r"ratios is \(1.0, 0.2\)"),
        (lambda: AdvectionDiffusion(ratios=(1.0, math.inf)), r"ratios is \(1.0, inf\), expected positive, finite"),
        (lambda: Helmholtz(omegas=(1.2, 1.8)), r"omegas is \(1.2, 1.8\), which holds no integer"),
        (lambda: SMALL[0].simulate({}, []), r"seeds is empty"),
    ],
)
def test_impossible_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
