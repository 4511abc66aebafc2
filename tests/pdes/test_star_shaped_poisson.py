"""Star-shaped domains: the solver against exact solutions and differences, the data it makes, and bad arguments."""

import math

import numpy as np
import pytest
import torch

from fno_lightning.pdes import StarShapedPoisson
from fno_lightning.pdes.solvers.harmonic import BoundaryCurve
from fno_lightning.pdes.star_shaped_poisson import boundary_value, radius_of, source


def star(shape, n_nodes):
    angles = 2 * math.pi / n_nodes * torch.arange(n_nodes, dtype=torch.float64)[None]
    return torch.polar(radius_of(torch.tensor([shape]).double(), angles), angles)


def within(shape, parts):
    """Places at these parts of the way to the boundary."""
    angle = torch.linspace(0.01, 6.2, 50, dtype=torch.float64)[None]
    radius = radius_of(torch.tensor([shape]).double(), angle)
    return torch.cat([torch.polar(part * radius, angle) for part in parts], dim=1)


def harmonic_function(z):
    return (z**3 + torch.exp(1.3j * z) - 2j * z).real


@pytest.mark.parametrize("shape", [(0.0, 0.0), (0.15, -0.1), (0.2, 0.2), (-0.2, 0.2)])
def test_a_harmonic_function_is_found_up_to_the_boundary(shape):
    nodes, places = star(shape, 512), within(shape, (0.0, 0.5, 0.9, 0.999))
    found = BoundaryCurve(nodes).harmonic(harmonic_function(nodes), places)
    torch.testing.assert_close(found, harmonic_function(places), atol=1e-9, rtol=0)


def test_the_error_falls_exponentially_with_the_nodes():
    shape = (0.1, 0.1)
    places = within(shape, (0.3, 0.8))
    errors = []
    for n_nodes in (32, 64, 128):
        nodes = star(shape, n_nodes)
        found = BoundaryCurve(nodes).harmonic(harmonic_function(nodes), places)
        errors.append((found - harmonic_function(places)).abs().max().item())
    assert errors[1] < 0.05 * errors[0]
    assert errors[2] < errors[1] ** 1.5


@pytest.mark.parametrize("nonlinearity", [0.0, 0.1, 0.5])
def test_the_solution_satisfies_the_equation_and_its_boundary_values(nonlinearity):
    problem = StarShapedPoisson(nonlinearity=nonlinearity)
    inputs = problem.draw(np.random.default_rng(3))
    h, shape = 0.01, inputs.shape[0].tolist()
    z = within(shape, (0.1, 0.5, 0.8))
    at = lambda dx, dy: problem.solution(inputs, torch.view_as_real(z + complex(dx, dy)))  # noqa: E731
    residual = -source(inputs, torch.view_as_real(z))
    weights = {-2: -1 / 12, -1: 4 / 3, 0: -5 / 2, 1: 4 / 3, 2: -1 / 12}  # fourth order
    gradient = {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}
    u = at(0, 0)
    for axis in ((1, 0), (0, 1)):
        second = sum(w * at(k * h * axis[0], k * h * axis[1]) for k, w in weights.items()) / h**2
        first = sum(w * at(k * h * axis[0], k * h * axis[1]) for k, w in gradient.items()) / h
        residual += (1 + nonlinearity * u**2) * second + 2 * nonlinearity * u * first**2
    assert residual.abs().max() < 1e-3 * source(inputs, torch.view_as_real(z)).abs().max()
    edge = within(shape, (0.99999,))
    on_edge = problem.solution(inputs, torch.view_as_real(edge))
    torch.testing.assert_close(on_edge, boundary_value(inputs, edge.angle()), atol=2e-3, rtol=0)


def test_one_gaussian_in_a_disk_has_its_radial_solution():
    problem = StarShapedPoisson(nonlinearity=0.0, deformation=0.0, n_sources=1)
    inputs = problem.draw(np.random.default_rng(0))
    zeros = torch.zeros_like
    inputs = inputs._replace(centres=zeros(inputs.centres), cosines=zeros(inputs.cosines), sines=zeros(inputs.sines))
    beta, sigma = inputs.amplitudes.item(), inputs.widths.item()
    radius = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    s = torch.linspace(0, 1, 20001, dtype=torch.float64)[1:]
    slope = beta * sigma**2 * (1 - torch.exp(-(s**2) / (2 * sigma**2))) / s  # r u' is the integral of r f
    integral = torch.cat([torch.zeros(1), torch.cumulative_trapezoid(slope, s)])
    expected = [-(integral[-1] - integral[int(20000 * r) - 1]).item() for r in radius]
    places = torch.stack([radius, torch.zeros_like(radius)], dim=1)[None]
    assert problem.solution(inputs, places)[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_samples_are_ragged_and_repeat_for_their_seeds():
    problem = StarShapedPoisson(n_points=(30, 60))
    first, again = problem.solve([5, 6, 7]), problem.solve([5, 6, 7])
    assert len({len(sample.positions) for sample in first}) > 1
    for sample, same in zip(first, again, strict=True):
        assert 30 <= len(sample.positions) <= 60
        assert set(sample.constant_fields) == {"source", "boundary_value", "boundary_distance"}
        assert sample.constant_fields["boundary_distance"].min() > 0
        torch.testing.assert_close(sample.fields["solution"], same.fields["solution"])


def test_weights_add_up_to_the_area():
    problem = StarShapedPoisson(n_points=(20, 20))
    c1, c2 = problem.draw(np.random.default_rng(1)).shape[0].tolist()
    (sample,) = problem.solve([1])
    assert sample.weight.sum().item() == pytest.approx(math.pi * (1 + (c1**2 + c2**2) / 2), rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"deformation": 0.3}, "deformation is 0.3, expected at most 0.2"),
        ({"n_points": (9, 4)}, "n_points is the least and the greatest"),
        ({"n_points": (0, 4)}, "n_points"),
        ({"widths": (0.5, 0.2)}, "widths"),
        ({"nonlinearity": -0.1}, "nonlinearity"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        StarShapedPoisson(**arguments)
