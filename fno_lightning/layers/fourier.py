"""Fourier bases, for periodic axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fno_lightning.layers.basis import Basis


@dataclass(frozen=True)
class FourierBasis(Basis):
    r"""Complex exponentials of both signs.

    .. math:: \varphi_k(x_j) = e^{2 \pi i k j / N}, \qquad k = -\lfloor m/2 \rfloor, \dots, \lceil m/2 \rceil - 1

    An even number of modes keeps the wave number -m/2 but not m/2, like the first FNO.

    >>> basis, cpu = FourierBasis(), torch.device("cpu")
    >>> wave = torch.exp(2j * torch.pi * torch.arange(8) / 8).to(torch.complex128)
    >>> real, imaginary = basis.analysis(8, 4, cpu)  # wave numbers -2, -1, 0, 1
    >>> (torch.complex(real, imaginary) @ wave).abs().round(decimals=4).tolist()
    [0.0, 0.0, 0.0, 1.0]
    >>> basis.resolved(n_coefficients=8, n_points=4)  # a coarse grid resolves the wave numbers around zero
    slice(2, 6, None)
    """

    is_complex: ClassVar[bool] = True
    has_constant: ClassVar[bool] = True

    def n_coefficients(self, n_modes: int) -> int:
        """Return one coefficient for each mode."""
        return n_modes

    def resolved(self, n_coefficients: int, n_points: int) -> slice:
        """Return the wave numbers around zero, at most one for each point."""
        n_resolved = min(n_coefficients, n_points)
        start = n_coefficients // 2 - n_resolved // 2
        return slice(start, start + n_resolved)

    def longest(self, n_coefficients: int) -> int:
        """Return the middle: the wave numbers are sorted."""
        return n_coefficients // 2

    def analysis(self, n_points: int, n_coefficients: int, device: torch.device) -> Float[Tensor, "2 mode point"]:
        """Return the conjugate exponentials over N."""
        cosine, sine = self._waves(n_points, n_coefficients, device)
        return torch.stack([cosine, -sine]) / n_points

    def synthesis(self, n_points: int, n_coefficients: int, device: torch.device) -> Float[Tensor, "2 mode point"]:
        """Return the exponentials."""
        return torch.stack(self._waves(n_points, n_coefficients, device))

    def _wave_numbers(self, n_coefficients: int, device: torch.device) -> Int[Tensor, " mode"]:
        return torch.arange(n_coefficients, device=device) - n_coefficients // 2

    def _waves(
        self, n_points: int, n_coefficients: int, device: torch.device
    ) -> tuple[Float[Tensor, "mode point"], Float[Tensor, "mode point"]]:
        wave_numbers = self._wave_numbers(n_coefficients, device)
        turns = torch.outer(wave_numbers, torch.arange(n_points, device=device)) % n_points
        phase = turns.double() * (2 * torch.pi / n_points)
        return phase.cos(), phase.sin()


@dataclass(frozen=True)
class HalfFourierBasis(FourierBasis):
    r"""Complex exponentials of a real field: wave numbers 0 to m // 2, the others being their conjugates.

    The field is the real part of the synthesis, in which every wave number but zero, and N / 2 of an even number of
    points, stands for two.

    >>> basis, cpu = HalfFourierBasis(), torch.device("cpu")
    >>> field = 3 + torch.cos(2 * torch.pi * torch.arange(8, dtype=torch.float64) / 8)
    >>> (basis.analysis(8, 3, cpu) @ field).round(decimals=4).abs().tolist()  # real and imaginary parts
    [[3.0, 0.5, 0.0], [0.0, 0.0, 0.0]]
    >>> basis.n_coefficients(n_modes=16)
    9
    """

    def n_coefficients(self, n_modes: int) -> int:
        """Return half of the modes, and zero."""
        return n_modes // 2 + 1

    def resolved(self, n_coefficients: int, n_points: int) -> slice:
        """Return the lowest wave numbers, up to N // 2."""
        return slice(0, min(n_coefficients, n_points // 2 + 1))

    def longest(self, n_coefficients: int) -> int:
        """Return the first position."""
        return 0

    def synthesis(self, n_points: int, n_coefficients: int, device: torch.device) -> Float[Tensor, "2 mode point"]:
        """Return the exponentials, doubled where the conjugate is left out."""
        wave_numbers = self._wave_numbers(n_coefficients, device)
        own_conjugate = (wave_numbers == 0) | (2 * wave_numbers == n_points)
        multiplicity = torch.where(own_conjugate, 1.0, 2.0).double()
        return super().synthesis(n_points, n_coefficients, device) * multiplicity[:, None]

    def _wave_numbers(self, n_coefficients: int, device: torch.device) -> Int[Tensor, " mode"]:
        return torch.arange(n_coefficients, device=device)
