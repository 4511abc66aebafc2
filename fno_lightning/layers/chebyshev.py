"""Chebyshev polynomials, for axes that end and whose points crowd there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.layers.basis import RealBasis

ChebyshevPoints: TypeAlias = Literal["gauss", "lobatto"]

_TOLERANCE = 0.02
"""Largest distance of a point from its place, in units of the smallest spacing: files hold rounded numbers."""


@dataclass(frozen=True)
class ChebyshevBasis(RealBasis):
    r"""Chebyshev polynomials on the points of their quadrature, in ascending order.

    .. math:: T_k(x) = \cos(k \arccos x), \qquad
        x_j = \begin{cases} -\cos \pi (j + 1/2) / N & \text{Gauss: inside the ends} \\
                            -\cos \pi j / (N - 1)   & \text{Gauss-Lobatto: with the ends} \end{cases}

    On these points the polynomials up to degree N - 1 are orthogonal (Boyd 2001, Chebyshev and Fourier Spectral
    Methods, section 4.5), and a smooth field that ends anyhow has coefficients that fall faster than any power of k.
    The same degrees on another number of points of the same kind are the same functions.

    Args:
        points: Points of the axis.

    >>> basis = ChebyshevBasis("gauss")
    >>> x = torch.tensor(basis.points_of(8), dtype=torch.float64)
    >>> (basis.analysis(8, 4, torch.device("cpu")) @ (1 + 4 * x**3)).round(decimals=4).tolist()  # 4 x³ = 3 T₁ + T₃
    [[1.0, 3.0, 0.0, 1.0]]
    """

    points: ChebyshevPoints

    has_constant: ClassVar[bool] = True

    def analysis(self, n_points: int, n_coefficients: int, device: torch.device) -> Float[Tensor, "1 mode point"]:
        """Return the polynomials times the weights of the quadrature, over their sums of squares."""
        weight = torch.ones(n_points, dtype=torch.float64, device=device)
        if self.points == "lobatto" and n_points > 1:
            weight[[0, -1]] = 0.5
        weighted = self.synthesis(n_points, n_coefficients, device) * weight
        squares = (weighted * self.synthesis(n_points, n_coefficients, device)).sum(dim=2, keepdim=True)
        return weighted / squares

    def synthesis(self, n_points: int, n_coefficients: int, device: torch.device) -> Float[Tensor, "1 mode point"]:
        """Return the polynomials."""
        degrees = torch.arange(n_coefficients, device=device)
        half_turns, n_turns = self._half_turns(n_points, device)
        angle = (torch.outer(degrees, half_turns) % (2 * n_turns)).double() * (torch.pi / n_turns)
        return angle.cos()[None]

    def points_of(self, n_points: int) -> list[float]:
        """Return the points of an axis from -1 to 1."""
        half_turns, n_turns = self._half_turns(n_points, torch.device("cpu"))
        return [math.cos(math.pi * turn / n_turns) for turn in half_turns.tolist()]

    def _half_turns(self, n_points: int, device: torch.device) -> tuple[Tensor, int]:
        """Return the angle of each point, in whole parts of π, and the number of the parts."""
        j = torch.arange(n_points - 1, -1, -1, device=device)  # x ascends, the angle descends
        return (2 * j + 1, 2 * n_points) if self.points == "gauss" else (j, max(1, n_points - 1))


def chebyshev_points(coordinates: Sequence[float]) -> ChebyshevPoints | None:
    """Return which Chebyshev points the coordinates of an axis are, by their spacings; ``None``: neither.

    Three points that are even are both, and so not told apart: it takes four.

    >>> chebyshev_points([0.0, 0.25, 0.75, 1.0]), chebyshev_points([0.0, 0.3, 0.7, 1.0])
    ('lobatto', None)
    """
    n_points = len(coordinates)
    if n_points < 4:
        return None
    kinds: list[ChebyshevPoints] = ["gauss", "lobatto"]
    for kind in kinds:
        points = ChebyshevBasis(kind).points_of(n_points)
        scale = (coordinates[-1] - coordinates[0]) / (points[-1] - points[0])
        least = scale * (points[1] - points[0])
        expected = (coordinates[0] + scale * (point - points[0]) for point in points)
        if all(abs(own - other) <= _TOLERANCE * least for own, other in zip(coordinates, expected, strict=True)):
            return kind
    return None
