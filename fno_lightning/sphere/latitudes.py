"""Rows of points from pole to pole, and the weights of a mean over the sphere."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.field_spec import FieldSpec

LatitudeName = Literal["equiangular", "equiangular_poles", "gauss_legendre"]
"""Kind of a row of n colatitudes: ``equiangular``, (j + 1/2) π / n, the centres of equal cells; ``equiangular_poles``,
j π / (n - 1), with both poles; ``gauss_legendre``, the angles of the zeros of the Legendre polynomial of degree n."""

NEAR = 0.05
"""Largest distance from the first point of a kind, in spacings, at which coordinates are taken as of that kind."""


def colatitudes(kind: LatitudeName, n_points: int) -> Float[Tensor, " point"]:
    """Return the angles from the north pole, rising, in radians, float64.

    Raises:
        ValueError: if there is no such kind of points, or fewer than two of them.
    """
    if n_points < 2:
        raise ValueError(f"a grid on the sphere has at least two latitudes, got {n_points}")
    number = torch.arange(n_points, dtype=torch.float64)
    if kind == "equiangular":
        return (number + 0.5) * (math.pi / n_points)
    if kind == "equiangular_poles":
        return number * (math.pi / (n_points - 1))
    if kind == "gauss_legendre":
        return torch.from_numpy(np.polynomial.legendre.leggauss(n_points)[0]).neg().arccos()
    raise ValueError(f"unknown latitudes {kind!r}: expected one of {get_args(LatitudeName)}")


def area_weights(kind: LatitudeName, n_points: int) -> Float[Tensor, " point"]:
    r"""Return the weight of each row of points in a mean over the sphere; their sum is 1, float64.

    .. math:: \frac{1}{4\pi} \int f \, \mathrm{d}A = \sum_j w_j \, \bar f_j

    with the mean :math:`\bar f_j` over the longitudes. Exact where :math:`\bar f` is a polynomial in the cosine of the
    colatitude, of degree 2n - 1 for ``gauss_legendre``, else n - 1 at least: then the weights are those of Fejér's
    first rule, and with poles of Clenshaw and Curtis, the integral of the cosine series through the points.

    Reference: Waldvogel, BIT Numer. Math. 46 (2006); Driscoll and Healy, Adv. Appl. Math. 15 (1994).

    >>> area_weights("equiangular_poles", 3)  # Simpson's rule
    tensor([0.1667, 0.6667, 0.1667], dtype=torch.float64)
    """
    angles = colatitudes(kind, n_points)
    if kind == "gauss_legendre":
        return torch.from_numpy(np.polynomial.legendre.leggauss(n_points)[1]) / 2
    n_intervals = n_points if kind == "equiangular" else n_points - 1
    waves = torch.arange(0, n_points, 2, dtype=torch.float64)
    multiplicity = torch.full_like(waves, 2.0)
    multiplicity[(waves == 0) | (waves == n_intervals)] = 1.0
    weights = torch.outer(angles, waves).cos() @ (multiplicity / (1 - waves.square())) / n_intervals
    if kind == "equiangular_poles":
        weights[[0, -1]] /= 2
    return weights


def latitudes_of(spec: FieldSpec) -> LatitudeName:
    """Return the kind of points along the first axis of a data set on the sphere, from its coordinates.

    Colatitudes or latitudes, in radians or in degrees, in either direction.

    Raises:
        ValueError: if the data are not of two axes, latitude and longitude, or the coordinates are not known or of no
            known kind.
    """
    names = f"{spec.dataset_name!r} with the axes {spec.axis_names}"
    if spec.n_dims != 2:
        raise ValueError(f"a sphere has two axes, latitude and longitude, but the grid of {names} is {spec.grid_shape}")
    if spec.boundaries and not (spec.periodic[1] and not spec.periodic[0]):
        raise ValueError(
            f"the axes on the sphere are latitude, not periodic, and longitude, periodic, but {names} has the "
            f"boundaries {spec.boundaries}"
        )
    n_points = spec.grid_shape[0]
    if not spec.extent or n_points < 2 or spec.coordinates:
        raise ValueError(
            f"the coordinates of {names} do not say which latitudes they are: give {get_args(LatitudeName)}"
        )
    low, high = spec.extent[0]
    span = abs(high - low) * (n_points - 1) / n_points  # from the first to the last point
    whole = 180.0 if span > 4 else math.pi
    lower_end = 0.0 if min(low, high) > -0.25 * whole else -whole / 2
    spacing = span / (n_points - 1)
    from_ends = [
        (min(low, high) + spacing / 2 - lower_end) / spacing,
        (lower_end + whole - max(low, high) + spacing / 2) / spacing,
    ]
    kinds: tuple[LatitudeName, ...] = get_args(LatitudeName)
    for kind in kinds:
        angles = colatitudes(kind, n_points)
        first = float(angles[0] * (n_points - 1) / (angles[-1] - angles[0]))
        if all(abs(distance - first) < NEAR for distance in from_ends):
            return kind
    raise ValueError(
        f"the latitudes of {names} begin {from_ends[0]:.3g} and end {from_ends[1]:.3g} spacings from the poles, which "
        f"is none of {kinds}: give the one that they are nearest to"
    )
