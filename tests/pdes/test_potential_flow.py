"""Potential flow around bodies: exact solutions, quadrature, symmetry, and bad arguments."""

import math

import numpy as np
import pytest
import torch
from scipy.special import elliprd

from fno_lightning.pdes import PotentialFlow
from fno_lightning.pdes.potential_flow import Body, sphere, surface
from fno_lightning.pdes.solvers.source_panels import areas, panel_velocity, surface_velocity, unit_normals

STREAM = torch.tensor([math.cos(0.3), math.sin(0.3), 0.0], dtype=torch.float64)


def pressure_on_ellipsoid(half_axes, places):
    """Lamb, Hydrodynamics, section 114: on the surface the velocity is the part along it of a constant vector."""
    squares = torch.tensor(half_axes, dtype=torch.float64).square()
    others = [squares[[j for j in range(3) if j != i]].tolist() for i in range(3)]
    sizes = [2 / 3 * math.prod(half_axes) * elliprd(*two, squares[i].item()) for i, two in enumerate(others)]
    vector = STREAM * 2 / (2 - torch.tensor(sizes, dtype=torch.float64))
    normals = torch.nn.functional.normalize(places / squares, dim=1)
    return 1 - vector.square().sum() + (normals @ vector).square()


@pytest.mark.parametrize("half_axes", [(1.0, 1.0, 1.0), (1.0, 0.45, 0.3)], ids=["sphere", "ellipsoid"])
def test_the_pressure_on_an_ellipsoid_converges_to_the_exact_one(half_axes):
    errors = {}
    for frequency in (3, 6):
        triangles = surface(Body(half_axes, 2.0, 0.0, 0.3, 0.0), frequency)
        weight = areas(triangles)
        exact = pressure_on_ellipsoid(half_axes, triangles.mean(dim=1))
        found = 1 - surface_velocity(triangles, STREAM).square().sum(dim=1)
        errors[frequency] = math.sqrt(((found - exact).square() * weight).sum() / (exact.square() * weight).sum())
    assert errors[6] < 0.01
    assert errors[6] < 0.6 * errors[3]


def test_the_velocity_of_a_panel_is_its_integral():
    triangle = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 0.2, 0.1], [0.1, 0.8, -0.2]]], dtype=torch.float64)
    places = torch.tensor([[0.3, 0.3, 0.4], [0.3, 0.3, -0.4], [2.0, -1.0, 0.5]], dtype=torch.float64)
    n = 200
    cut = [(i + d, j + d) for d in (1 / 3, 2 / 3) for i in range(n) for j in range(n - i - (d > 0.5))]
    parts = torch.tensor(cut, dtype=torch.float64) / n
    a, b, c = triangle[0]
    points = a + parts[:, :1] * (b - a) + parts[:, 1:] * (c - a)
    apart = places[:, None] - points
    integrand = apart / torch.linalg.vector_norm(apart, dim=2, keepdim=True) ** 3
    expected = integrand.mean(dim=1) * areas(triangle) / (4 * math.pi)
    torch.testing.assert_close(panel_velocity(places, triangle)[:, 0], expected, rtol=1e-4, atol=0)


def test_a_body_without_a_ground_has_no_drag():
    drags = []
    for frequency in (3, 6):
        triangles = surface(Body((1.0, 0.4, 0.3), 2.0, 0.5, 0.3, 0.0), frequency)
        pressure = 1 - surface_velocity(triangles, STREAM).square().sum(dim=1)
        force = (pressure * areas(triangles)) @ unit_normals(triangles)
        drags.append(abs(float(force @ STREAM)))
        assert float((pressure.abs() * areas(triangles)).sum()) > 1
    assert drags[1] < 0.01
    assert drags[1] < 0.6 * drags[0]


def test_a_ground_is_the_flow_around_body_and_mirror_image():
    triangles = surface(Body((1.0, 0.4, 0.3), 3.0, 0.5, 0.3, 0.0), 2)
    image = triangles.flip(1) * torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)
    image[..., 2] += 2 * -0.5
    both = surface_velocity(torch.cat((triangles, image)), STREAM)
    torch.testing.assert_close(surface_velocity(triangles, STREAM, ground=-0.5), both[: len(triangles)])
    assert not torch.allclose(surface_velocity(triangles, STREAM), both[: len(triangles)], atol=0.01)


def test_triangles_of_a_body_face_outwards_and_close_it():
    for triangles in (sphere(3), surface(PotentialFlow().draw(np.random.default_rng(1)), 3)):
        assert len(triangles) == 180
        assert ((unit_normals(triangles) * triangles.mean(dim=1)).sum(dim=1) > 0).all()
        torch.testing.assert_close(
            areas(triangles) @ unit_normals(triangles), torch.zeros(3).double(), atol=1e-12, rtol=0
        )


def test_a_seed_has_one_solution_on_its_surface():
    problem = PotentialFlow(frequencies=(2, 3))
    first, second, again = *problem.solve([1, 2]), problem.solve([1])[0]
    assert not torch.equal(first.positions[:80], second.positions[:80])
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    for solution in (first, second):
        assert set(solution.constant_fields) == set(problem.constant_field_names)
        assert solution.fields["pressure"].max() <= 1
        for axis, (lower, upper) in enumerate(problem.box):
            assert lower <= solution.positions[:, axis].min()
            assert solution.positions[:, axis].max() <= upper


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frequencies": (4, 2)}, "frequencies is the least and the greatest"),
        ({"frequencies": (1, 2)}, "frequencies"),
        ({"widths": (0.5, 0.3)}, "widths"),
        ({"exponents": (1.0, 2.0)}, "exponents"),
        ({"clearances": (0.0, 0.1)}, "clearances"),
        ({"yaw": -1.0}, "yaw"),
        ({"cabins": (-0.5, 0.1)}, "cabins"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        PotentialFlow(**options)
