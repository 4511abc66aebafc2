"""Spherical harmonic transform as products with small dense matrices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.layers.fourier import HalfFourierBasis
from fno_lightning.layers.legendre import LegendreBasis, legendre_matrices
from fno_lightning.layers.transform import (
    SpectralTransform,
    analysis_matrix,
    contract,
    synthesis_matrix,
    transform_matrix,
)


class SphericalTransform(SpectralTransform):
    r"""Transform between a real field on the sphere and its coefficients of spherical harmonics, channels last.

    .. math:: x(\theta, \varphi) = \Re \sum_{m \ge 0} \mu_m \sum_{l \ge m} z_l^m \, \bar P_l^m(\cos\theta) \,
        e^{i m \varphi}, \qquad \mu_0 = 1, \; \mu_m = 2

    A Fourier basis along the second axis, the longitude, and for each order m the Legendre functions of that order
    along the first, the latitude: one real matrix product, then one for each order, in one batch. Coefficients are
    ``(batch, part, degree, order, channel)``, those of l < m zero: the truncation is triangular where there are as many
    orders as degrees. A coefficient is an amplitude that does not depend on the resolution, and the constant 1 has
    :math:`z_0^0 = 1`.

    Args:
        bases: Legendre basis of the latitude, Fourier basis of the longitude.
        n_coefficients: Number of stored degrees and orders.
    """

    bases: tuple[LegendreBasis, HalfFourierBasis]

    def analysis(
        self, field: Float[Tensor, "batch latitude longitude channel"]
    ) -> Float[Tensor, "batch 2 degree order channel"]:
        """Return the resolved coefficients, real and imaginary parts."""
        grid = field.shape[1:-1]
        n_degrees, n_orders = (modes.stop for modes in self.resolved(grid))
        fourier = transform_matrix(analysis_matrix, self.bases[1], grid[1], n_orders, 1, field)
        waves = torch.unflatten(contract(fourier, field, 2), 2, (2, n_orders))
        legendre = legendre_matrices(self.bases[0], "analyses", grid[0], n_degrees, n_orders, waves)
        by_order = waves.permute(3, 1, 0, 2, 4)
        coefficients = torch.bmm(legendre, by_order.flatten(2))
        return torch.unflatten(coefficients, 2, by_order.shape[2:]).permute(2, 3, 1, 0, 4)

    def synthesis(
        self, coefficients: Float[Tensor, "batch 2 degree order channel"], grid: Sequence[int]
    ) -> Float[Tensor, "batch latitude longitude channel"]:
        """Return the field on a grid of this shape."""
        n_degrees, n_orders = coefficients.shape[2:4]
        by_order = coefficients.permute(3, 2, 0, 1, 4)
        legendre = legendre_matrices(self.bases[0], "syntheses", grid[0], n_degrees, n_orders, coefficients)
        waves = torch.unflatten(torch.bmm(legendre.mT, by_order.flatten(2)), 2, by_order.shape[2:])
        columns = waves.permute(2, 1, 3, 0, 4).flatten(2, 3)
        fourier = transform_matrix(synthesis_matrix, self.bases[1], grid[1], n_orders, 1, columns)
        return contract(fourier, columns, 2)
