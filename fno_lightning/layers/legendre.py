"""Legendre basis, for the axis from pole to pole of a grid on the sphere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.layers.basis import RealBasis
from fno_lightning.sphere import LatitudeName, area_weights, associated_legendre, colatitudes


@dataclass(frozen=True)
class LegendreBasis(RealBasis):
    r"""Normalised associated Legendre functions of one order after the other, on the latitudes of a grid.

    .. math:: \varphi_l(\theta_j) = \bar P_l^m(\cos\theta_j), \qquad l = 0, \dots, n - 1

    of :func:`~fno_lightning.sphere.associated_legendre`; as a basis of one axis those of order 0, the Legendre
    polynomials. The analysis is the least-squares fit with the weights of a mean over the sphere. Where the weights
    integrate products of two functions exactly, it is that quadrature; on equiangular points it stays the inverse of
    the synthesis up to degree N - 1, twice as far as the quadrature alone, or N - 2 of points with poles.

    Args:
        latitudes: Kind of the points, see :data:`~fno_lightning.sphere.LatitudeName`.

    >>> basis, cpu = LegendreBasis("gauss_legendre"), torch.device("cpu")
    >>> field = 3 + 3**0.5 * colatitudes("gauss_legendre", 8).cos()
    >>> (basis.analysis(8, 3, cpu) @ field).round(decimals=4).abs().tolist()
    [[3.0, 1.0, 0.0]]
    """

    has_constant: ClassVar[bool] = True

    latitudes: LatitudeName = "equiangular"

    def resolved(self, n_coefficients: int, n_points: int) -> slice:
        """Return the lowest degrees, at most one for each point that is not a pole, and the constant."""
        return slice(0, min(n_coefficients, n_points - (self.latitudes == "equiangular_poles")))

    def analysis(self, n_points: int, n_coefficients: int, device: torch.device) -> Float[Tensor, "1 mode point"]:
        """Return the weighted fit of order 0."""
        return self.analyses(n_points, n_coefficients, 1, device)

    def synthesis(self, n_points: int, n_coefficients: int, device: torch.device) -> Float[Tensor, "1 mode point"]:
        """Return the functions of order 0."""
        return self.syntheses(n_points, n_coefficients, 1, device)

    def analyses(
        self, n_points: int, n_degrees: int, n_orders: int, device: torch.device
    ) -> Float[Tensor, "order degree point"]:
        """Return the weighted fit of each order, zero for degrees below it."""
        functions = self.syntheses(n_points, n_degrees, n_orders, device)
        weighted = functions * area_weights(self.latitudes, n_points).to(device)
        gram = weighted @ functions.mT
        is_absent = torch.diagonal(gram, dim1=1, dim2=2) == 0
        fit: Tensor = torch.linalg.solve(gram + torch.diag_embed(is_absent.to(gram)), weighted)
        return fit

    def syntheses(
        self, n_points: int, n_degrees: int, n_orders: int, device: torch.device
    ) -> Float[Tensor, "order degree point"]:
        """Return the functions of each order, zero for degrees below it."""
        return associated_legendre(colatitudes(self.latitudes, n_points), n_degrees, n_orders).to(device)


def legendre_matrices(
    basis: LegendreBasis,
    direction: Literal["analyses", "syntheses"],
    n_points: int,
    n_degrees: int,
    n_orders: int,
    like: Tensor,
) -> Float[Tensor, "order degree point"]:
    """Return a basis' matrices of all orders on the device and in the type of a field."""
    build = _copied_matrices if torch.compiler.is_compiling() else _cached_matrices
    matrices: Tensor = build(basis.latitudes, direction, n_points, n_degrees, n_orders, like.dtype, like.device)
    return matrices


@cache  # a CUDA graph may hold their addresses
def _cached_matrices(
    latitudes: LatitudeName,
    direction: str,
    n_points: int,
    n_degrees: int,
    n_orders: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    with torch.inference_mode(mode=False):
        build = getattr(LegendreBasis(latitudes), direction)
        matrices: Tensor = build(n_points, n_degrees, n_orders, torch.device("cpu"))
        return matrices.to(device, dtype).contiguous()


# One node of a compiled graph, in place of thousands. A copy, for the compiler may write over it.
@torch.library.custom_op(
    "fno_lightning::legendre_matrices",
    mutates_args=(),
    schema="(str kind, str direction, SymInt points, SymInt degrees, SymInt orders, ScalarType dtype, Device device)"
    " -> Tensor",
)
def _copied_matrices(
    kind: LatitudeName,
    direction: str,
    points: int,
    degrees: int,
    orders: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    return _cached_matrices(kind, direction, points, degrees, orders, dtype, device).clone()


@_copied_matrices.register_fake
def _(
    kind: LatitudeName,
    direction: str,
    points: int,
    degrees: int,
    orders: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    return torch.empty(orders, degrees, points, dtype=dtype, device=device)
