"""The non-linear Poisson equation against exact solutions and Newton's method."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import newton_krylov

from fno_lightning.pdes.nonlinear_poisson import NonlinearPoisson
from fno_lightning.pdes.solvers.kirchhoff_transform import (
    BoundaryValues,
    harmonic_extension,
    inverse_kirchhoff,
    kirchhoff,
    nonlinear_residual,
    solve_nonlinear_diffusion,
)

ALPHA = 0.1


def centres(n):
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


def on_boundary(function, n_x, n_y):
    """Values of a function of x and y on the faces of the boundary."""
    x, y, zero, one = centres(n_x), centres(n_y), torch.zeros(1).double(), torch.ones(1).double()
    return BoundaryValues(*(function(*at)[None] for at in ((zero, y), (one, y), (x, zero), (x, one))))


def exact(x, y):
    return 2 * torch.sin(math.pi * x) * torch.cos(2 * y) + torch.exp(x * y)


def manufactured_source(n_x, n_y):
    """The divergence of (1 + α u²) ∇u for the exact solution, differentiated automatically."""
    x, y = (axis.requires_grad_() for axis in torch.meshgrid(centres(n_x), centres(n_y), indexing="ij"))
    u = exact(x, y)
    flows = [(1 + ALPHA * u**2) * du for du in torch.autograd.grad(u.sum(), (x, y), create_graph=True)]
    derivatives = [
        torch.autograd.grad(flow.sum(), axis, retain_graph=True)[0] for flow, axis in zip(flows, (x, y), strict=True)
    ]
    return u.detach(), sum(derivatives)


@pytest.mark.parametrize("shape", [(1, 1), (2, 1)])
def test_second_order_on_a_smooth_solution(shape):
    errors = []
    for n in (16, 32, 64):
        n_x, n_y = n * shape[0], n * shape[1]
        u, source = manufactured_source(n_x, n_y)
        numerical = solve_nonlinear_diffusion(source[None], on_boundary(exact, n_x, n_y), (1 / n_x, 1 / n_y), ALPHA)
        errors.append((numerical[0] - u).square().mean().sqrt().item())
    assert errors[-1] < 1e-3
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(2, abs=0.1)


def residual_of_the_scheme(u, f, g, n_x, n_y):
    """Cell by cell: the mean of 1 + α u² along each edge by Gauss quadrature, times the gradient."""
    points, weights = np.polynomial.legendre.leggauss(3)
    edges = ((-1, 0, "x_lower"), (1, 0, "x_upper"), (0, -1, "y_lower"), (0, 1, "y_upper"))
    result = np.empty((n_x, n_y))
    for i in range(n_x):
        for j in range(n_y):
            divergence = 0.0
            for di, dj, side in edges:
                n, position = (n_x, j) if di else (n_y, i)
                inside = 0 <= i + di < n_x and 0 <= j + dj < n_y
                neighbour = u[i + di, j + dj] if inside else getattr(g, side)[0, position].item()
                along = (u[i, j] + neighbour) / 2 + points * (neighbour - u[i, j]) / 2
                mean = (weights * (1 + ALPHA * along**2)).sum() / 2
                divergence += mean * (neighbour - u[i, j]) * n * (n if inside else 2 * n)
            result[i, j] = divergence - f[i, j]
    return result


@pytest.mark.parametrize("boundary_values", ["random", "zero"])
def test_agrees_with_newtons_method(boundary_values):
    pde = NonlinearPoisson((7, 9), boundary_values=boundary_values)
    solution = pde.solve([3], "cpu")
    f, g = pde.source([3])[0].numpy(), pde.boundary_data([3])
    scale = np.abs(f).max()
    u = newton_krylov(
        lambda v: residual_of_the_scheme(v, f, g, 7, 9) / scale, np.zeros((7, 9)), method="gmres", f_tol=1e-9
    )
    np.testing.assert_allclose(solution.solution[0].numpy(), u, rtol=0, atol=1e-8)
    assert np.abs(u).max() > 0.5


def test_residual_is_that_of_the_scheme():
    """For values that are no solution."""
    n_x, n_y = 6, 5
    u, f = torch.randn(2, 1, n_x, n_y, dtype=torch.float64)
    g = on_boundary(lambda x, y: torch.sin(3 * x) + y**2, n_x, n_y)
    spacing = (1 / n_x, 1 / n_y)
    expected = np.linalg.norm(residual_of_the_scheme(u[0].numpy(), f[0].numpy(), g, n_x, n_y))
    w = g.mapped(lambda values: kirchhoff(values, ALPHA))
    known = -f[0].numpy()
    known[0] += 2 * n_x**2 * w.x_lower[0].numpy()
    known[-1] += 2 * n_x**2 * w.x_upper[0].numpy()
    known[:, 0] += 2 * n_y**2 * w.y_lower[0].numpy()
    known[:, -1] += 2 * n_y**2 * w.y_upper[0].numpy()
    computed = nonlinear_residual(u, f, g, spacing, ALPHA).item()
    assert computed == pytest.approx(expected / np.linalg.norm(known), rel=1e-10)
    assert computed > 0.1


@pytest.mark.parametrize("resolution", [(32, 32), (31, 53), (4, 4)])
def test_samples_solve_the_equations(resolution):
    solution = NonlinearPoisson(resolution).solve(range(6), "cpu")
    assert (solution.residual < 1e-12).all()
    assert (ALPHA * solution.solution.square()).amax() > 0.5


def test_the_root_of_the_cubic():
    u = torch.cat([torch.linspace(-30, 30, 101), torch.tensor([1e-9, -1e-200, 1e5])]).double()
    for alpha in (1e-6, 0.1, 50.0):
        torch.testing.assert_close(inverse_kirchhoff(kirchhoff(u, alpha), alpha), u, rtol=1e-12, atol=0)


def test_without_a_source_the_transform_is_harmonic():
    """w = x² - y² + 2 x is harmonic; its second differences are exact inside, not in the cells at the boundary."""
    errors = []
    for n in (24, 48):
        x, y = centres(n)[:, None], centres(n)
        g = on_boundary(lambda x, y: x**2 - y**2 + 2 * x + 0 * y, n, n)
        harmonic = harmonic_extension(g, (1 / n, 1 / n))[0]
        errors.append((harmonic - (x**2 - y**2 + 2 * x)).abs().max().item())
    assert errors[1] < 1e-3
    assert errors[1] < errors[0] / 3


def test_a_linear_function_is_its_own_extension():
    g = on_boundary(lambda x, y: 3 * x - 2 * y + 1, 9, 14)
    harmonic = harmonic_extension(g, (1 / 9, 1 / 14))[0]
    torch.testing.assert_close(harmonic, 3 * centres(9)[:, None] - 2 * centres(14) + 1, rtol=0, atol=1e-13)


def test_the_source_is_a_sum_of_gaussians():
    pde = NonlinearPoisson((40, 40), n_sources=1, amplitudes=(7.0, 7.0), widths=(0.1, 0.1))
    f = pde.source(range(40)).abs()
    assert f.amax() == pytest.approx(7, rel=0.02)
    signs = pde.source(range(40)).sum(dim=(1, 2)).sign()
    assert signs.unique().tolist() == [-1, 1]
    log = f.log()
    curvature = (log[:, 2:, 1:-1] - 2 * log[:, 1:-1, 1:-1] + log[:, :-2, 1:-1]) * 40**2
    torch.testing.assert_close(curvature, torch.full_like(curvature, -100.0), rtol=1e-6, atol=0)


def test_a_seed_means_the_same_functions_on_every_grid():
    """Every third cell of the finer grid has the centre of a coarse cell."""
    coarse, fine = (NonlinearPoisson((n, n)) for n in (24, 72))
    torch.testing.assert_close(coarse.source([2]), fine.source([2])[:, 1::3, 1::3], rtol=1e-12, atol=1e-12)
    for one, other in zip(coarse.boundary_data([2]), fine.boundary_data([2]), strict=True):
        torch.testing.assert_close(one, other[:, 1::3], rtol=0, atol=1e-4)
    u, finer = (pde.solve([2], "cpu").solution for pde in (coarse, fine))
    assert (u - finer[:, 1::3, 1::3]).norm() < 0.01 * u.norm()


def test_a_sample_depends_on_its_seed_alone():
    pde = NonlinearPoisson((16, 16))
    together, alone = pde.simulate({}, [1, 4]), pde.simulate({}, [4])
    for name in ("source", "boundary_value"):
        torch.testing.assert_close(together.constant_fields[name][1:], alone.constant_fields[name])
        assert not torch.allclose(together.constant_fields[name][0], alone.constant_fields[name][0], atol=0.1)
    torch.testing.assert_close(together.scalar_fields["solution"][1:], alone.scalar_fields["solution"])


def test_layout_and_schema():
    pde = NonlinearPoisson((8, 10))
    samples, schema = pde.simulate({}, [0, 1]), pde.schema
    assert samples.scalar_fields["solution"].shape == (2, 1, 8, 10)
    assert list(samples.constant_fields) == list(schema.constant_fields) == ["source", "boundary_value"]
    assert schema.boundaries == samples.boundaries == {"x": ("wall", "wall"), "y": ("wall", "wall")}
    assert {field.dtype for field in samples.constant_fields.values()} == {torch.float32}
    assert schema.scalar_fields["solution"].shape == (1, 1, 8, 10)


def test_boundary_values_meet_at_the_corners():
    g = NonlinearPoisson((64, 64)).boundary_data(range(5))
    for along_y, end_y, along_x, end_x in (
        (g.x_lower, 0, g.y_lower, 0),
        (g.x_lower, -1, g.y_upper, 0),
        (g.x_upper, 0, g.y_lower, -1),
        (g.x_upper, -1, g.y_upper, -1),
    ):
        torch.testing.assert_close(along_y[:, end_y], along_x[:, end_x], rtol=0, atol=0.02)
    assert (g.x_lower - g.x_upper).abs().amax() > 1
    assert (g.y_lower - g.y_upper).abs().amax() > 1


def test_zero_boundary_values():
    samples = NonlinearPoisson((8, 8), boundary_values="zero").simulate({}, [0])
    assert (samples.constant_fields["boundary_value"] == 0).all()
    assert samples.scalar_fields["solution"].abs().max() > 0.1


def test_wrong_solutions_are_refused_by_name(monkeypatch):
    right = solve_nonlinear_diffusion

    def wrong(*arguments):
        u = right(*arguments)
        u[1] *= 1 + 1e-6
        return u

    monkeypatch.setattr("fno_lightning.pdes.nonlinear_poisson.solve_nonlinear_diffusion", wrong)
    with pytest.raises(FloatingPointError, match=r"NonlinearPoisson is not solved for seeds \[9\]"):
        NonlinearPoisson((8, 8)).simulate({}, [5, 9])


def test_settings_identify_the_samples():
    settings = NonlinearPoisson((8, 8), widths=(0.1, 0.2)).settings
    assert settings == NonlinearPoisson((8, 8), widths=(0.1, 0.2)).settings
    assert json.dumps(settings) != json.dumps(NonlinearPoisson((8, 8)).settings)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("resolution", (2, 8)),
        ("nonlinearity", 0.0),
        ("n_sources", 0),
        ("amplitudes", (3.0, 1.0)),
        ("widths", (0.0, 1.0)),
        ("boundary_amplitude", float("inf")),
    ],
)
def test_impossible_values_are_named(option, value):
    with pytest.raises(ValueError, match=rf"{option} is "):
        NonlinearPoisson(**({"resolution": (8, 8)} | {option: value}))
