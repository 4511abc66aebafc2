"""Potential flow around a body by sources on the triangles of its surface."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

ROWS_AT_ONCE = 128


def surface_velocity(
    triangles: Float[Tensor, "panel 3 3"], stream: Float[Tensor, 3], ground: float | None = None
) -> Float[Tensor, "panel 3"]:
    r"""Return the velocity of an ideal fluid at the centre of each triangle of a closed surface.

    The flow is the stream and constant sources on flat panels, so strong that nothing passes the centre of any:

    .. math:: v(x) = U + \sum_j \sigma_j \frac{1}{4 \pi} \int_{T_j} \frac{x - y}{|x - y|^3}\, dS_y, \qquad
              v(x_i) \cdot n_i = 0

    The integrals are exact (Hess and Smith 1967); the error falls with the size of the panels. A ground is a plane of
    symmetry: the body's mirror image has the same sources.

    Args:
        triangles: Corners, float64, counterclockwise as seen from outside.
        stream: U; parallel to the ground.
        ground: Height z of the ground, below the body; ``None``: there is none.
    """
    centres, normals = triangles.mean(dim=1), unit_normals(triangles)
    influence = panel_velocity(centres, triangles)
    own = torch.arange(len(triangles))
    influence[own, own] = _along(influence[own, own], normals) + normals / 2  # the limit from outside
    if ground is not None:
        image = triangles.flip(1) * triangles.new_tensor([1, 1, -1]) + triangles.new_tensor([0, 0, 2 * ground])
        influence += panel_velocity(centres, image)
    passing = torch.einsum("ijd,id->ij", influence, normals)
    strength = torch.linalg.solve(passing, -(normals @ stream))
    velocity = stream + torch.einsum("ijd,j->id", influence, strength)
    return _along(velocity, normals)  # what is left of the other part is round-off


def unit_normals(triangles: Float[Tensor, "panel 3 3"]) -> Float[Tensor, "panel 3"]:
    """Return the unit normals, outward if the corners are counterclockwise as seen from outside."""
    normals: Tensor = torch.nn.functional.normalize(_cross(triangles), dim=1)
    return normals


def areas(triangles: Float[Tensor, "panel 3 3"]) -> Float[Tensor, " panel"]:
    """Return the areas."""
    doubled: Tensor = torch.linalg.vector_norm(_cross(triangles), dim=1)
    return doubled / 2


def panel_velocity(
    places: Float[Tensor, "place 3"], triangles: Float[Tensor, "panel 3 3"]
) -> Float[Tensor, "place panel 3"]:
    r"""Return the velocity that a unit source on each triangle makes at each place off it.

    .. math:: \frac{1}{4 \pi} \Big( \sum_e \nu_e \ln \frac{R_1 + R_2 + \ell_e}{R_1 + R_2 - \ell_e} + n\, \Omega \Big)

    with ν the outward normal of an edge within the plane, R the distances to its ends, ℓ its length, and Ω the solid
    angle of the triangle (van Oosterom and Strackee 1983), positive on the side of n.
    """
    normals = unit_normals(triangles)
    edges = triangles.roll(-1, dims=1) - triangles
    lengths = torch.linalg.vector_norm(edges, dim=2)
    outward = torch.linalg.cross(edges / lengths[..., None], normals[:, None].expand_as(edges))
    return torch.cat(
        [_of_rows(rows, triangles, normals, lengths, outward) for rows in torch.split(places, ROWS_AT_ONCE)]
    )


def _of_rows(rows: Tensor, triangles: Tensor, normals: Tensor, lengths: Tensor, outward: Tensor) -> Tensor:
    corners = triangles - rows[:, None, None]  # (row, panel, corner, 3)
    distances = torch.linalg.vector_norm(corners, dim=3)
    ends = distances + distances.roll(-1, dims=2)
    along_edges = torch.log((ends + lengths) / (ends - lengths))
    a, b, c = corners.unbind(dim=2)
    r, s, t = distances.unbind(dim=2)
    volume = -(a * torch.linalg.cross(b, c)).sum(dim=2)
    angle = 2 * torch.atan2(volume, r * s * t + (a * b).sum(2) * t + (b * c).sum(2) * r + (c * a).sum(2) * s)
    tangential = torch.einsum("ije,jed->ijd", along_edges, outward)
    return (tangential + normals * angle[..., None]) / (4 * math.pi)


def _along(vectors: Tensor, normals: Tensor) -> Tensor:
    return vectors - (vectors * normals).sum(dim=1, keepdim=True) * normals


def _cross(triangles: Tensor) -> Tensor:
    a, b, c = triangles.unbind(dim=1)
    product: Tensor = torch.linalg.cross(b - a, c - a)
    return product
