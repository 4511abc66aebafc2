"""Gradient, divergence, curl and Laplacian on grids of one to three axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.derivatives.finite_differences import Points, finite_difference_matrix
from fno_lightning.derivatives.fourier_continuation import Continuation, fourier_continuation_matrix
from fno_lightning.derivatives.spectral import spectral_matrix


@runtime_checkable
class AxisDerivative(Protocol):
    """A way to take derivatives along one axis: a matrix for each order."""

    @property
    def n_points(self) -> int:
        """Number of points along the axis."""

    def matrix(self, order: int) -> Points:
        """Return the matrix of a derivative, ``(point, point)``."""


@dataclass(frozen=True)
class Spectral:
    """Derivatives of the Fourier series along a periodic axis, see :func:`spectral_matrix`.

    Args:
        n_points: Number of points.
        length: Length of the axis.
    """

    n_points: int
    length: float = 1.0

    def matrix(self, order: int) -> Points:
        """Return the matrix of a derivative."""
        return spectral_matrix(self.n_points, self.length, order)


@dataclass(frozen=True)
class FiniteDifferences:
    """Finite differences on any points, see :func:`finite_difference_matrix`.

    Args:
        points: Points along the axis, ascending.
        accuracy: Order of accuracy, even.
        period: Length of the axis if it is periodic.
        edge_accuracy: Order of accuracy at the ends; ``None``: as inside.
    """

    points: tuple[float, ...]
    accuracy: int = 2
    period: float | None = None
    edge_accuracy: int | None = None

    @property
    def n_points(self) -> int:
        """Number of points along the axis."""
        return len(self.points)

    def matrix(self, order: int) -> Points:
        """Return the matrix of a derivative."""
        return finite_difference_matrix(self.points, order, self.accuracy, self.period, self.edge_accuracy)


@dataclass(frozen=True)
class FourierContinuation:
    """Derivatives of the Fourier continuation of even points, see :func:`fourier_continuation_matrix`.

    Args:
        n_points: Number of points.
        spacing: Distance between two points.
        degree: Points at each end that determine the continuation.
        n_added: Points that are added.
        kind: ``legendre`` or ``gram``.
    """

    n_points: int
    spacing: float
    degree: int = 5
    n_added: int | None = None
    kind: Continuation = "gram"

    def matrix(self, order: int) -> Points:
        """Return the matrix of a derivative."""
        return fourier_continuation_matrix(self.n_points, self.spacing, order, self.degree, self.n_added, self.kind)


class GridDerivatives:
    """Derivatives of fields on a grid, each axis by a scheme of its own.

    Fields are ``(..., *grid)``, vector fields ``(..., component, *grid)`` with one component for each axis. Derivatives
    are differentiable, and have float32 or better precision under autocast too.

    Args:
        axes: Scheme of each axis.

    Raises:
        ValueError: in a call, if a field has another grid or a vector another number of components.
    """

    def __init__(self, axes: Sequence[AxisDerivative]) -> None:
        self.axes = tuple(axes)
        self._matrices: dict[tuple[int, int, torch.dtype, torch.device], Tensor] = {}

    @property
    def n_dims(self) -> int:
        """Number of axes."""
        return len(self.axes)

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of points along each axis."""
        return tuple(axis.n_points for axis in self.axes)

    def partial(self, field: Float[Tensor, "*field"], axis: int, order: int = 1) -> Float[Tensor, "*field"]:
        """Return a partial derivative.

        Args:
            field: Field ``(..., *grid)``.
            axis: Axis of the grid, from 0.
            order: Order of the derivative.
        """
        self._require_grid(field)
        dim = field.ndim - self.n_dims + axis
        field = field.to(torch.promote_types(field.dtype, torch.float32))
        matrix = self._matrix(axis, order, field)
        with torch.autocast(field.device.type, enabled=False):  # which would take the product in half precision
            derivative: Tensor = torch.matmul(field.movedim(dim, -1), matrix.T).movedim(-1, dim)
        return derivative

    def gradient(self, field: Float[Tensor, "*field"]) -> Float[Tensor, "*vector"]:
        """Return the gradient of a field, ``(..., component, *grid)``."""
        parts = [self.partial(field, axis) for axis in range(self.n_dims)]
        return torch.stack(parts, dim=field.ndim - self.n_dims)

    def divergence(self, vector: Float[Tensor, "*vector"]) -> Float[Tensor, "*field"]:
        """Return the divergence of a vector field, ``(..., *grid)``."""
        parts = self._components(vector)
        total = self.partial(parts[0], 0)
        for axis in range(1, self.n_dims):
            total = total + self.partial(parts[axis], axis)
        return total

    def curl(self, vector: Float[Tensor, "*vector"]) -> Float[Tensor, "*curl"]:
        """Return the curl of a vector field: of two components the scalar ``(..., *grid)``, of three a vector field.

        Raises:
            ValueError: if there is one axis.
        """
        if self.n_dims == 1:
            raise ValueError("a curl needs two or three axes, the grid has one")
        parts = self._components(vector)
        if self.n_dims == 2:
            return self.partial(parts[1], 0) - self.partial(parts[0], 1)
        axes = ((1, 2), (2, 0), (0, 1))
        turned = [self.partial(parts[k], j) - self.partial(parts[j], k) for j, k in axes]
        return torch.stack(turned, dim=vector.ndim - 4)

    def laplacian(self, field: Float[Tensor, "*field"]) -> Float[Tensor, "*field"]:
        """Return the Laplacian of a field, component by component of a vector field."""
        total = self.partial(field, 0, order=2)
        for axis in range(1, self.n_dims):
            total = total + self.partial(field, axis, order=2)
        return total

    def _components(self, vector: Tensor) -> tuple[Tensor, ...]:
        self._require_grid(vector)
        dim = vector.ndim - self.n_dims - 1
        if dim < 0 or vector.shape[dim] != self.n_dims:
            raise ValueError(
                f"a vector field on {self.n_dims} axes is (..., {self.n_dims}, *grid), got {tuple(vector.shape)}"
            )
        return vector.unbind(dim)

    def _require_grid(self, field: Tensor) -> None:
        if tuple(field.shape[-self.n_dims :]) != self.grid:
            raise ValueError(f"derivatives are those of the grid {self.grid}, got a field {tuple(field.shape)}")

    def _matrix(self, axis: int, order: int, like: Tensor) -> Tensor:
        key = axis, order, like.dtype, like.device
        if key not in self._matrices:
            with torch.inference_mode(False):  # a training may take over what a validation has made
                self._matrices[key] = torch.from_numpy(self.axes[axis].matrix(order)).to(like.device, like.dtype)
        return self._matrices[key]
