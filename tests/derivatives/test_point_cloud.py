"""Gradients on clouds of points."""

import math

import pytest
import torch

from fno_lightning.derivatives import PointCloudGradient, nearest_neighbours


def cloud(n, n_dims, seed=0):
    return torch.rand(n, n_dims, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("n_dims", [1, 2, 3])
@pytest.mark.parametrize("degree", [1, 2])
def test_polynomials_of_the_degree_are_exact(n_dims, degree):
    x = cloud(200, n_dims)
    values, gradient = x.sum(dim=1) * 2 + 1, torch.full_like(x, 2.0)
    if degree == 2:
        values, gradient = values + x[:, 0] ** 2, gradient.clone()
        gradient[:, 0] += 2 * x[:, 0]
    found = PointCloudGradient(x, degree=degree)(torch.stack([values, -values]))
    torch.testing.assert_close(found, torch.stack([gradient, -gradient]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("degree", [1, 2])
def test_the_error_falls_with_the_distance_of_the_points(degree):
    errors = []
    for n in (500, 8000):
        x = cloud(n, 2)
        exact = torch.stack([3 * torch.cos(3 * x[:, 0]) * x[:, 1], torch.sin(3 * x[:, 0])], dim=1)
        found = PointCloudGradient(x, degree=degree)(torch.sin(3 * x[:, 0]) * x[:, 1])
        errors.append((found - exact).square().mean().sqrt().item())
    assert math.log2(errors[0] / errors[1]) / 2 > degree - 0.25


def test_neighbours_are_the_nearest_however_few_distances_are_held(monkeypatch):
    x = cloud(300, 3)
    distance = torch.cdist(x, x).fill_diagonal_(torch.inf)
    expected = distance.argsort(dim=1)[:, :7]
    monkeypatch.setattr("fno_lightning.derivatives.point_cloud.DISTANCES_AT_ONCE", 1000)
    assert torch.equal(nearest_neighbours(x, 7), expected)


def test_it_is_differentiable_by_the_values():
    gradient = PointCloudGradient(cloud(30, 2), n_neighbours=8)
    assert torch.autograd.gradcheck(gradient, (torch.rand(2, 30, dtype=torch.float64, requires_grad=True),))


def test_clouds_that_determine_no_gradient_are_refused():
    with pytest.raises(ValueError, match="needs at least 5 neighbours of a point, got n_neighbours=10 of 9 points"):
        PointCloudGradient(cloud(9, 2))
    with pytest.raises(ValueError, match="got n_neighbours=4 of 40 points"):
        PointCloudGradient(cloud(40, 2), n_neighbours=4)
    line = torch.stack([torch.linspace(0, 1, 40), torch.linspace(0, 2, 40)], dim=1)
    with pytest.raises(ValueError, match=r"points \[0, 1, .* determine no gradient: they lie on a line or a plane"):
        PointCloudGradient(line)
    with pytest.raises(ValueError, match="degree is 1 or 2, got 3"):
        PointCloudGradient(cloud(40, 2), degree=3)
