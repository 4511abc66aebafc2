"""Spherical harmonic analysis of scalars and winds on a Gaussian grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from fno_lightning.sphere import LatitudeName, area_weights, associated_legendre, colatitudes, ladder


@dataclass(frozen=True)
class Sphere:
    r"""Fields on the unit sphere, expanded in spherical harmonics with triangular truncation.

    Spectra hold the coefficients of degrees l and orders m >= 0, ``(..., l, m)``, of

    .. math:: x = \sum_{m=-T}^{T} \sum_{l=|m|}^{T} x_l^m \, \bar P_l^{|m|}(\cos\theta) \, e^{i m \varphi}

    with :func:`~fno_lightning.sphere.associated_legendre`. The grid has Gauss-Legendre latitudes, and so many points
    that products of two fields are free of aliasing errors. Winds are pairs of an eastward and a northward component,
    times the sine of the colatitude, so that they are smooth at the poles.

    Args:
        truncation: T, the highest degree.
        dtype: Precision of the fields.
        device: Device of the tensors.

    Reference: Bourke, Mon. Wea. Rev. 100 (1972); Hack and Jakob, NCAR/TN-343+STR (1992).
    """

    truncation: int
    dtype: torch.dtype = torch.float64
    device: str = "cpu"

    @property
    def grid(self) -> tuple[int, int]:
        """Number of latitudes and of longitudes."""
        n_latitudes = 2 * math.ceil((3 * self.truncation + 1) / 4)
        return n_latitudes, 2 * n_latitudes

    @cached_property
    def height(self) -> Float[Tensor, "latitude 1"]:
        """Sine of the latitude of each row of the grid."""
        return self._moved(colatitudes("gauss_legendre", self.grid[0]).cos()[:, None])

    @cached_property
    def laplacian(self) -> Float[Tensor, "degree 1"]:
        """Factors of the Laplacian, -l (l + 1)."""
        degree = torch.arange(self.truncation + 1, dtype=self.dtype, device=self.device)
        return -(degree * (degree + 1))[:, None]

    @cached_property
    def inverse_laplacian(self) -> Float[Tensor, "degree 1"]:
        """Factors of the inverse Laplacian for fields without mean; the mean becomes 0."""
        return torch.where(self.laplacian == 0, 0.0, 1 / self.laplacian)

    def analysis(self, fields: Float[Tensor, "*fields"]) -> Complex[Tensor, "*spectrum"]:
        """Return the coefficients of fields ``(..., latitude, longitude)``."""
        return _by_order(self._waves(fields), self._weighted.mT)

    def synthesis(self, spectrum: Complex[Tensor, "*spectrum"]) -> Float[Tensor, "*fields"]:
        """Return fields ``(..., latitude, longitude)`` of their coefficients."""
        return self._field(_by_order(spectrum, self._functions))

    def wind(
        self, vorticity: Complex[Tensor, "*spectrum"], divergence: Complex[Tensor, "*spectrum"]
    ) -> tuple[Float[Tensor, "*fields"], Float[Tensor, "*fields"]]:
        """Return the wind of a vorticity and divergence, eastward and northward, times the sine of the colatitude."""
        potentials = torch.stack([vorticity, divergence]) * self.inverse_laplacian
        along, across = _by_order(self._order * potentials, self._functions), _by_order(potentials, self._slopes)
        east, north = along[1] - across[0], along[0] + across[1]
        return self._field(east), self._field(north)

    def curl_and_divergence(
        self, east: Float[Tensor, "*fields"], north: Float[Tensor, "*fields"]
    ) -> tuple[Complex[Tensor, "*spectrum"], Complex[Tensor, "*spectrum"]]:
        """Return the coefficients of the curl and the divergence of winds, given as :meth:`wind` returns them."""
        waves = self._waves(torch.stack([east, north]) / (1 - self.height.square()))
        along, across = self._order * _by_order(waves, self._weighted.mT), _by_order(waves, self._weighted_slopes.mT)
        return along[1] + across[0], along[0] - across[1]

    def mean_square(self, spectrum: Complex[Tensor, "*spectrum"]) -> Float[Tensor, "*batch degree"]:
        """Return the part of each degree in the mean square over the sphere (Parseval)."""
        power = spectrum.real.square() + spectrum.imag.square()
        return 2 * power.sum(dim=-1) - power[..., 0]

    def mean(self, fields: Float[Tensor, "*fields"]) -> Float[Tensor, "*batch"]:
        """Return the mean over the sphere of fields on the grid."""
        weights = self._moved(area_weights("gauss_legendre", self.grid[0]))
        return fields.mean(dim=-1) @ weights

    def at(
        self, kind: LatitudeName, grid: Sequence[int], spectrum: Complex[Tensor, "*spectrum"]
    ) -> Float[Tensor, "*fields"]:
        """Return the values of fields at the points of another grid."""
        angles = colatitudes(kind, grid[0])
        functions = self._moved(self._at(angles)[0])
        return self._at_longitudes(_by_order(spectrum, functions), grid[1])

    def gradients_at(
        self, kind: LatitudeName, grid: Sequence[int], spectrum: Complex[Tensor, "*batch degree order"]
    ) -> Float[Tensor, "2 *batch latitude longitude"]:
        """Return the southward and the eastward derivatives of fields on another grid, which has no poles."""
        angles = colatitudes(kind, grid[0])
        functions, slopes = (self._moved(values / angles.sin()) for values in self._at(angles))
        south, east = _by_order(spectrum, -slopes), _by_order(self._order * spectrum, functions)
        return self._at_longitudes(torch.stack([south, east]), grid[1])

    @cached_property
    def _order(self) -> Complex[Tensor, " order"]:
        return 1j * torch.arange(self.truncation + 1, dtype=self.dtype, device=self.device)

    @cached_property
    def _functions(self) -> Float[Tensor, "order degree latitude"]:
        return self._moved(self._on_grid[0])

    @cached_property
    def _slopes(self) -> Float[Tensor, "order degree latitude"]:
        """(1 - μ²) ∂P/∂μ with μ = cos θ."""
        return self._moved(self._on_grid[1])

    @cached_property
    def _weighted(self) -> Float[Tensor, "order degree latitude"]:
        return self._moved(self._on_grid[0] * area_weights("gauss_legendre", self.grid[0]))

    @cached_property
    def _weighted_slopes(self) -> Float[Tensor, "order degree latitude"]:
        return self._moved(self._on_grid[1] * area_weights("gauss_legendre", self.grid[0]))

    @cached_property
    def _on_grid(self) -> tuple[Tensor, Tensor]:
        return self._at(colatitudes("gauss_legendre", self.grid[0]))

    def _at(self, angles: Tensor) -> tuple[Tensor, Tensor]:
        """Return the functions and their slopes at some colatitudes."""
        n = self.truncation + 2
        functions, epsilon = associated_legendre(angles, n, n - 1), ladder(n, n - 1)
        degree = torch.arange(n, dtype=torch.float64)[:-1, None]
        lower = torch.nn.functional.pad(functions[:, :-2], (0, 0, 1, 0))
        slopes = (degree + 1) * epsilon[:, :-1, None] * lower - degree * epsilon[:, 1:, None] * functions[:, 1:]
        return functions[:, :-1], slopes

    def _moved(self, values: Tensor) -> Tensor:
        return values.to(self.device, self.dtype)

    def _waves(self, fields: Tensor) -> Tensor:
        """Return the coefficients of the longitudes."""
        waves: Tensor = torch.fft.rfft(fields, dim=-1, norm="forward")
        return waves[..., : self.truncation + 1]

    def _at_longitudes(self, waves: Tensor, n_points: int) -> Tensor:
        """Return values at equal distances: of more that resolve all waves, every so many."""
        stride = math.ceil((2 * self.truncation + 1) / n_points)
        values: Tensor = torch.fft.irfft(waves, n=stride * n_points, dim=-1, norm="forward")
        return values[..., ::stride]

    def _field(self, waves: Tensor) -> Tensor:
        field: Tensor = torch.fft.irfft(waves, n=self.grid[1], dim=-1, norm="forward")
        return field


def _by_order(waves: Complex[Tensor, "*rows order"], matrices: Float[Tensor, "order row column"]) -> Tensor:
    """Multiply ``(..., row, order)`` by the matrix of each order, as real and imaginary parts."""
    parts = torch.view_as_real(waves).movedim(-3, -1).movedim(-3, 0)  # (order, ..., part, row)
    products = torch.unflatten(parts.flatten(1, -2) @ matrices, 1, parts.shape[1:-1])
    return torch.view_as_complex(products.movedim(0, -1).movedim(-3, -1).contiguous())
