"""First derivatives on a cloud of points."""

from __future__ import annotations

from math import comb

import torch
from jaxtyping import Float, Int
from torch import Tensor

DISTANCES_AT_ONCE = 2**24
"""Distances that are held in memory at once."""


class PointCloudGradient:
    r"""Gradient of values at scattered points, by weighted least squares over the nearest neighbours.

    At each point the polynomial that fits the neighbours best, with weights that fall with the distance, has the
    gradient :math:`\sum_j w_j (u_j - u)`; the weights are found once. The error falls as the ``degree``-th power of
    the distance of the points, and is zero for polynomials of the degree.

    Args:
        points: Coordinates ``(n_points, n_dims)``, one to three dimensions.
        n_neighbours: Neighbours of a point; ``None``: twice as many as the polynomial has coefficients.
        degree: Degree of the polynomial, 1 or 2.

    Raises:
        ValueError: if there are too few points or neighbours for the polynomial, or the neighbours of a point lie on a
            line or a plane, so that they determine no gradient; gives its number.

    The memory needed grows with the number of points, not with its square.
    """

    def __init__(self, points: Float[Tensor, "point dim"], n_neighbours: int | None = None, degree: int = 2) -> None:
        n_points, n_dims = points.shape
        if degree not in (1, 2):
            raise ValueError(f"degree is 1 or 2, got {degree}")
        n_terms = comb(n_dims + degree, degree) - 1
        n_neighbours = 2 * n_terms if n_neighbours is None else n_neighbours
        if not n_terms <= n_neighbours < n_points:
            raise ValueError(
                f"a gradient of degree {degree} in {n_dims} dimensions needs at least {n_terms} neighbours of a point, "
                f"got n_neighbours={n_neighbours} of {n_points} points"
            )
        self.neighbours = nearest_neighbours(points, n_neighbours)
        self.weights = self._weights_of(points.double(), degree).to(points.dtype)

    def __call__(self, values: Float[Tensor, "*batch point"]) -> Float[Tensor, "*batch point dim"]:
        """Return the gradient at each point."""
        differences = values[..., self.neighbours] - values[..., None]
        return torch.einsum("...pk,pkd->...pd", differences, self.weights.to(values))

    def _weights_of(self, points: Tensor, degree: int) -> Tensor:
        offsets = points[self.neighbours] - points[:, None]
        reach = offsets.norm(dim=2).amax(dim=1)[:, None, None]
        terms = offsets / reach
        if degree == 2:
            pairs = torch.combinations(torch.arange(points.shape[1]), with_replacement=True).unbind(dim=1)
            terms = torch.cat([terms, terms[..., pairs[0]] * terms[..., pairs[1]]], dim=2)
        closeness = 1 / terms[..., : points.shape[1]].square().sum(dim=2, keepdim=True).clamp_min(1e-12).sqrt()
        singular = torch.linalg.svdvals(closeness * terms)
        flat = (singular[:, -1] < 1e-10 * singular[:, 0]).nonzero()[:, 0].tolist()
        if flat:
            raise ValueError(
                f"the neighbours of the points {flat[:10]} determine no gradient: they lie on a line or a plane, or "
                "coincide; choose more neighbours or degree=1"
            )
        weights: Tensor = torch.linalg.pinv(closeness * terms)[:, : points.shape[1]].mT * closeness / reach
        return weights


def nearest_neighbours(points: Float[Tensor, "point dim"], n_neighbours: int) -> Int[Tensor, "point neighbour"]:
    """Return the numbers of the nearest other points of each point, the nearest first."""
    rows = max(1, DISTANCES_AT_ONCE // len(points))
    found = []
    for first in range(0, len(points), rows):
        part = points[first : first + rows]
        distance = torch.cdist(part, points, compute_mode="donot_use_mm_for_euclid_dist")
        own = torch.arange(len(part), device=points.device)
        distance[own, first + own] = torch.inf
        found.append(distance.topk(n_neighbours, largest=False).indices)
    return torch.cat(found)
