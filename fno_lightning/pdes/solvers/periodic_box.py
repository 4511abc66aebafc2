"""Fourier analysis on a periodic box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Complex, Float
from torch import Tensor


@dataclass(frozen=True)
class PeriodicBox:
    """A uniform grid on a periodic box, and the Fourier transform on it.

    Points lie at ``lower + i L / N``: the lower edge is a point, the upper is not. Spectra are those of
    ``torch.fft.rfftn``: all frequencies on every axis but the last, which keeps the non-negative ones.

    Args:
        resolution: N, points along each axis.
        lengths: L, length along each axis.
        lower: Lower edge along each axis; 0 unless given.
        dtype: Precision of the fields.
        device: Device of the tensors.
    """

    resolution: tuple[int, ...]
    lengths: tuple[float, ...]
    lower: tuple[float, ...] = ()
    dtype: torch.dtype = torch.float64
    device: str = "cpu"

    @property
    def n_dims(self) -> int:
        """Number of axes."""
        return len(self.resolution)

    @property
    def coordinates(self) -> tuple[Float[Tensor, " points"], ...]:
        """Points along each axis."""
        lower = self.lower or (0.0,) * self.n_dims
        return tuple(
            start + torch.arange(n, dtype=self.dtype, device=self.device) * (length / n)
            for n, length, start in zip(self.resolution, self.lengths, lower, strict=True)
        )

    def transform(self, fields: Float[Tensor, "*fields"]) -> Complex[Tensor, "*spectrum"]:
        """Return the Fourier coefficients of real fields ``(..., *grid)``."""
        spectrum: Tensor = torch.fft.rfftn(fields, dim=self._axes)
        return spectrum

    def inverse(self, spectrum: Complex[Tensor, "*spectrum"]) -> Float[Tensor, "*fields"]:
        """Return the real fields of Fourier coefficients."""
        fields: Tensor = torch.fft.irfftn(spectrum, s=self.resolution, dim=self._axes)
        return fields

    def inner(self, a: Complex[Tensor, "*a"], b: Complex[Tensor, "*b"]) -> Float[Tensor, "*batch"]:
        """Return the mean of the product of two real fields, from their Fourier coefficients (Parseval)."""
        products = a.real * b.real + a.imag * b.imag
        total: Tensor = (products * self._multiplicity).sum(dim=self._axes)
        return total / math.prod(self.resolution) ** 2

    @cached_property
    def wavenumbers(self) -> tuple[Tensor, ...]:
        """2π k / L along each axis, each shaped to multiply a spectrum; the Nyquist frequency counts as positive."""
        return self._over_axes(self._frequencies(nyquist=True))

    @cached_property
    def derivatives(self) -> tuple[Tensor, ...]:
        """Factors of the first derivative along each axis; 0 at the Nyquist frequency, whose derivative is not real."""
        return tuple(1j * k for k in self._over_axes(self._frequencies(nyquist=False)))

    @cached_property
    def laplacian(self) -> Float[Tensor, "*spectrum"]:
        """Factors of the Laplacian, -|k|²."""
        total = torch.zeros((), dtype=self.dtype, device=self.device)
        for k in self.wavenumbers:
            total = total - k.square()
        return total

    @cached_property
    def inverse_laplacian(self) -> Float[Tensor, "*spectrum"]:
        """Factors of the inverse Laplacian for fields without mean; the mean becomes 0."""
        return torch.where(self.laplacian == 0, 0.0, 1 / self.laplacian)

    @cached_property
    def dealiasing(self) -> Float[Tensor, "*spectrum"]:
        """1 where products of two fields are free of aliasing errors, else 0: the 2/3 rule (Orszag 1971)."""
        return self._up_to(1.0)

    def tail(self, spectrum: Complex[Tensor, "batch channel *frequency"]) -> Float[Tensor, " batch"]:
        """Return the spectral tail: the share of the variance in the highest tenth of the dealiased frequencies.

        A frequency counts if it is among the highest of any axis. The tail of a well-resolved field is close to 0.
        """
        highest = self.inner(spectrum * self._highest, spectrum).sum(dim=1)
        variance = self.inner(spectrum * (self.laplacian != 0), spectrum).sum(dim=1)
        return torch.where(variance > 0, highest / variance, variance)

    @cached_property
    def _multiplicity(self) -> Float[Tensor, " last"]:
        """How often a frequency of the last axis occurs in the full spectrum: itself and its negative."""
        n = self.resolution[-1]
        counts = torch.full((n // 2 + 1,), 2.0, dtype=self.dtype, device=self.device)
        counts[0] = 1
        if n % 2 == 0:
            counts[-1] = 1
        return counts

    @cached_property
    def _highest(self) -> Float[Tensor, "*spectrum"]:
        return self.dealiasing - self._up_to(0.9)

    def _up_to(self, fraction: float) -> Tensor:
        """1 up to a fraction of the highest dealiased frequency of every axis, else 0."""
        kept = torch.ones((), dtype=self.dtype, device=self.device)
        for k, length, n in zip(self.wavenumbers, self.lengths, self.resolution, strict=True):
            number = (k.abs() * length / (2 * math.pi)).round()
            kept = kept * (number <= fraction * (math.ceil(n / 3) - 1))
        return kept

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(-self.n_dims, 0))

    def _frequencies(self, *, nyquist: bool) -> list[Tensor]:
        result = []
        for axis, n in enumerate(self.resolution):
            k = torch.arange(n, dtype=self.dtype, device=self.device)
            k = k[: n // 2 + 1] if axis == self.n_dims - 1 else torch.where(k > n // 2, k - n, k)
            result.append(k if nyquist or n % 2 else torch.where(k == n // 2, torch.zeros_like(k), k))
        return result

    def _over_axes(self, frequencies: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(
            (2 * math.pi / length * k).view(-1, *(1,) * (self.n_dims - 1 - axis))
            for axis, (k, length) in enumerate(zip(frequencies, self.lengths, strict=True))
        )
