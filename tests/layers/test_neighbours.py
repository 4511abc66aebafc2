"""Neighbours of places: shares, offsets and interpolation."""

import torch

from fno_lightning.layers import KernelMean, NearestPoints, Neighbours, cell_corners
from fno_lightning.layers import neighbours as neighbours_module


def test_corners_interpolate_multilinear_functions_exactly():
    grid = (4, 5, 3)
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in grid), indexing="ij")
    values = (axes[0] * axes[1] - 2 * axes[2]).flatten()
    places = torch.rand(2, 7, 3, dtype=torch.float64) * (torch.tensor(grid) - 1)
    number, share, offset = cell_corners(places, grid)
    interpolated = (share * values[number]).sum(dim=-1)
    x, y, z = places.unbind(dim=-1)
    torch.testing.assert_close(interpolated, x * y - 2 * z)
    torch.testing.assert_close((share[..., None] * offset).sum(dim=2), torch.zeros_like(places), atol=1e-12, rtol=0)


def test_places_at_and_beyond_the_edge_have_the_values_there():
    number, share, _ = cell_corners(torch.tensor([[[0.0, 0.0], [3.0, 2.0], [-5.0, 9.0]]]), (4, 3))
    values = torch.arange(12.0)
    assert (share * values[number]).sum(dim=-1).tolist() == [[0.0, 11.0, 2.0]]


def test_the_nearest_points_are_those_of_all_distances(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    places, points = torch.rand(30, 2, generator=generator), torch.rand(3, 50, 2, generator=generator)
    weight = (torch.rand(3, 50, generator=generator) > 0.3).float()
    spacing = torch.tensor([0.1, 0.2])
    distance = ((places[None, :, None] - points[:, None]) / spacing).norm(dim=-1)
    distance = torch.where(weight[:, None] > 0, distance, torch.inf)
    expected = distance.sort(dim=-1).values[..., :4]
    for at_once in (neighbours_module.DISTANCES_AT_ONCE, 400):
        monkeypatch.setattr(neighbours_module, "DISTANCES_AT_ONCE", at_once)
        found, nearness = NearestPoints(4)(places, points, weight, spacing)
        torch.testing.assert_close(found.offset.norm(dim=-1), expected)
        torch.testing.assert_close(nearness, torch.exp(-expected[..., 0].square()))
        shares = torch.exp(-expected.square())
        torch.testing.assert_close(found.share, shares / shares.sum(dim=-1, keepdim=True))


def test_a_point_of_weight_two_counts_as_two_points():
    points = torch.tensor([[[0.1, 0.2], [0.6, 0.5], [0.1, 0.2]]])
    values = torch.tensor([[[1.0], [3.0], [1.0]]])
    places, spacing = torch.tensor([[0.3, 0.3]]), torch.tensor([0.5, 0.5])
    nearest, mean = NearestPoints(3), KernelMean(1, 2, 4)
    twice = mean(values, nearest(places, points, torch.ones(1, 3), spacing)[0])
    by_weight = mean(values[:, :2], nearest(places, points[:, :2], torch.tensor([[2.0, 1.0]]), spacing)[0])
    torch.testing.assert_close(twice, by_weight)


def test_the_mean_is_that_of_a_loop():
    torch.manual_seed(0)
    layer = KernelMean(3, 2, 8)
    values = torch.randn(2, 6, 3)
    neighbours = Neighbours(torch.randint(6, (2, 4, 5)), torch.rand(2, 4, 5), torch.randn(2, 4, 5, 2))
    expected = torch.zeros(2, 4, 3)
    for b, p, k in ((b, p, k) for b in range(2) for p in range(4) for k in range(5)):
        kernel = 1 + layer.kernel(neighbours.offset[b, p, k, None])[0]
        expected[b, p] += neighbours.share[b, p, k] * kernel * values[b, neighbours.number[b, p, k]]
    torch.testing.assert_close(layer(values, neighbours), expected)
