"""Rows of points from pole to pole, and the weights of a mean over the sphere."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

LatitudeName = Literal["equiangular", "equiangular_poles", "gauss_legendre"]
"""Kind of a row of n colatitudes: ``equiangular``, (j + 1/2) π / n, the centres of equal cells; ``equiangular_poles``,
j π / (n - 1), with both poles; ``gauss_legendre``, the angles of the zeros of the Legendre polynomial of degree n."""


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
