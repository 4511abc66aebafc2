r"""Finite volumes for :math:`\nabla \cdot ((1 + \alpha u^2) \nabla u) = f`, u = g on the boundary of a rectangle.

The flow through a face between two values is :math:`c\, (u_2 - u_1) / h` with the mean of the coefficient between them,
:math:`c = 1 + \alpha (u_1^2 + u_1 u_2 + u_2^2) / 3`. That is the difference of Kirchhoff's transform
:math:`w = u + \alpha u^3 / 3`, hence the equations for w are those of Poisson. They are solved exactly, so
that the residual is round-off.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class BoundaryValues(NamedTuple):
    """Values in the middle of the faces on the boundary of a rectangle."""

    x_lower: Float[Tensor, "batch y"]
    x_upper: Float[Tensor, "batch y"]
    y_lower: Float[Tensor, "batch x"]
    y_upper: Float[Tensor, "batch x"]

    def mapped(self, function: Callable[[Tensor], Tensor]) -> BoundaryValues:
        """Apply a function to all values."""
        return BoundaryValues(*(function(values) for values in self))

    def surround(self, field: Float[Tensor, "batch x y"], axis: int) -> Tensor:
        """Add the values before and after a field along one axis."""
        if axis == 1:
            return torch.cat([self.x_lower[:, None], field, self.x_upper[:, None]], dim=1)
        return torch.cat([self.y_lower[:, :, None], field, self.y_upper[:, :, None]], dim=2)


def kirchhoff(u: Tensor, alpha: float) -> Tensor:
    """Return Kirchhoff's transform w = u + α u³ / 3."""
    return u + alpha / 3 * u**3


def inverse_kirchhoff(w: Tensor, alpha: float) -> Tensor:
    """Return the real root u of u + α u³ / 3 = w."""
    return 2 / math.sqrt(alpha) * torch.sinh(torch.asinh(1.5 * math.sqrt(alpha) * w) / 3)


def harmonic_extension(values: BoundaryValues, spacing: tuple[float, float]) -> Float[Tensor, "batch x y"]:
    """Return the harmonic function with the given boundary values."""
    (n_samples, n_y), n_x = values.x_lower.shape, values.y_lower.shape[1]
    return _poisson(values.x_lower.new_zeros(n_samples, n_x, n_y), values, spacing)


def values_of_extension(extension: Float[Tensor, "batch x y"], spacing: tuple[float, float]) -> BoundaryValues:
    """Return the boundary values of a harmonic function, from its discrete equation in the cells along the boundary.

    A cell in a corner has two boundary values in one equation: they are extrapolated along the sides, and corrected
    alike, which is exact to second order.
    """
    (h_x, h_y), u = spacing, extension
    x_lower, x_upper = (_side(side, h_x, h_y) for side in (u, u.flip(1)))
    y_lower, y_upper = (_side(side.transpose(1, 2), h_y, h_x) for side in (u, u.flip(2)))
    for along_y, row in ((x_lower, 0), (x_upper, -1)):
        for along_x, column in ((y_lower, 0), (y_upper, -1)):
            _share_corner(u, along_y, along_x, row, column, spacing)
    return BoundaryValues(x_lower, x_upper, y_lower, y_upper)


def solve_nonlinear_diffusion(
    source: Float[Tensor, "batch x y"], values: BoundaryValues, spacing: tuple[float, float], alpha: float
) -> Float[Tensor, "batch x y"]:
    """Solve the discrete equations for u.

    Args:
        source: f, in the cell centres.
        values: g, on the faces of the boundary.
        spacing: Edges of a cell along x and y.
        alpha: α.
    """
    transformed = values.mapped(lambda g: kirchhoff(g, alpha))
    return inverse_kirchhoff(_poisson(source, transformed, spacing), alpha)


def nonlinear_error(
    u: Float[Tensor, "batch x y"],
    source: Float[Tensor, "batch x y"],
    values: BoundaryValues,
    spacing: tuple[float, float],
    alpha: float,
) -> tuple[Float[Tensor, "batch x y"], Float[Tensor, "batch x y"]]:
    """Return the residual of :func:`nonlinear_residual` in each cell, and its source and boundary terms."""
    by_axis = [_flux_difference(values.surround(u, axis), axis, spacing[axis - 1], alpha) for axis in (1, 2)]
    known = _with_boundary(-source, values.mapped(lambda g: kirchhoff(g, alpha)), spacing)
    return by_axis[0] + by_axis[1] - source, known


def nonlinear_residual(
    u: Float[Tensor, "batch x y"],
    source: Float[Tensor, "batch x y"],
    values: BoundaryValues,
    spacing: tuple[float, float],
    alpha: float,
) -> Float[Tensor, " batch"]:
    """Return the norm of the non-linear equations' residual over that of their source and boundary terms.

    Args:
        u: Solution in the cell centres.
        source: f, in the cell centres.
        values: g, on the faces of the boundary.
        spacing: Edges of a cell along x and y.
        alpha: α.
    """
    left, known = nonlinear_error(u, source, values, spacing, alpha)
    norm: Tensor = torch.linalg.vector_norm(known, dim=(1, 2))
    error: Tensor = torch.linalg.vector_norm(left, dim=(1, 2))
    return error / torch.where(norm > 0, norm, 1.0)


def _side(u: Tensor, h: float, h_along: float) -> Tensor:
    """Boundary values before the first row of a harmonic function; those of the corners are extrapolated."""
    first = u[:, 0]
    curvature = (first[:, 2:] - 2 * first[:, 1:-1] + first[:, :-2]) / h_along**2
    inner = first[:, 1:-1] - 0.5 * h**2 * ((u[:, 1, 1:-1] - first[:, 1:-1]) / h**2 + curvature)
    ends = (2 * inner[:, :1] - inner[:, 1:2], 2 * inner[:, -1:] - inner[:, -2:-1])
    return torch.cat([ends[0], inner, ends[1]], dim=1)


def _share_corner(
    u: Tensor, along_y: Tensor, along_x: Tensor, row: int, column: int, spacing: tuple[float, float]
) -> None:
    """Correct both boundary values of a corner, in place, by what its equation lacks."""
    per_x, per_y = (1 / h**2 for h in spacing)
    corner, beside = u[:, row, column], (1 if row == 0 else -2, 1 if column == 0 else -2)
    lacks = per_x * (u[:, beside[0], column] + 2 * along_y[:, column] - 3 * corner)
    lacks = lacks + per_y * (u[:, row, beside[1]] + 2 * along_x[:, row] - 3 * corner)
    correction = lacks / (2 * (per_x + per_y))
    along_y[:, column] -= correction
    along_x[:, row] -= correction


def _flux_difference(u: Tensor, axis: int, h: float, alpha: float) -> Tensor:
    """Derivative along one axis of the flux, from values that the boundary's surround."""
    n = u.shape[axis]
    left, right = u.narrow(axis, 0, n - 1), u.narrow(axis, 1, n - 1)
    flux = (1 + alpha / 3 * (left.square() + left * right + right.square())) * (right - left) / h
    flux.narrow(axis, 0, 1).mul_(2)
    flux.narrow(axis, n - 2, 1).mul_(2)
    return flux.diff(dim=axis) / h


def _poisson(source: Tensor, values: BoundaryValues, spacing: tuple[float, float]) -> Tensor:
    """Solve Δw = f directly, in the eigenvectors of the two second differences (Lynch, Rice and Thomas 1964)."""
    (x, x_eigenvalues), (y, y_eigenvalues) = (_sines(source, axis, spacing[axis - 1]) for axis in (1, 2))
    amplitudes = x.T @ _with_boundary(-source, values, spacing) @ y
    return x @ (amplitudes / (x_eigenvalues[:, None] + y_eigenvalues)) @ y.T


def _sines(like: Tensor, axis: int, h: float) -> tuple[Tensor, Tensor]:
    """Eigenvectors, in columns, and eigenvalues of the negative second difference, 0 half a cell beyond the ends."""
    n = like.shape[axis]
    i = torch.arange(n, dtype=like.dtype, device=like.device)
    vectors = math.sqrt(2 / n) * torch.sin(math.pi / n * (i[:, None] + 0.5) * (i + 1))
    vectors[:, -1] /= math.sqrt(2)
    return vectors, (2 / h * torch.sin(math.pi / (2 * n) * (i + 1))).square()


def _with_boundary(source: Tensor, values: BoundaryValues, spacing: tuple[float, float]) -> Tensor:
    """Add what flows in from the boundary, held at the given values, while the inside is 0."""
    per_x, per_y = (2 / h**2 for h in spacing)
    total = source.clone()
    total[:, 0] += per_x * values.x_lower
    total[:, -1] += per_x * values.x_upper
    total[:, :, 0] += per_y * values.y_lower
    total[:, :, -1] += per_y * values.y_upper
    return total
