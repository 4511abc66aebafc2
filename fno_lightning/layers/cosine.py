"""Cosine basis, for axes with zero gradient at both ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.layers.basis import Basis


@dataclass(frozen=True)
class CosineBasis(Basis):
    r"""Cosines on cell centres, the discrete cosine transform of type II.

    .. math:: \varphi_k(x_j) = \cos \frac{\pi k (j + 1/2)}{N}, \qquad k = 0, \dots, m - 1

    The cosines continue a field evenly beyond its ends, without the jumps of a periodic continuation of an open or
    wall-bounded axis. Equal numbers of modes resolve equal wavelengths in this and in the Fourier basis.

    >>> basis, cpu = CosineBasis(), torch.device("cpu")
    >>> field = 3 + torch.cos(torch.pi * (torch.arange(8, dtype=torch.float64) + 0.5) / 8)
    >>> (basis.analysis(8, 3, cpu) @ field).round(decimals=4).abs().tolist()
    [[3.0, 1.0, 0.0]]
    >>> basis.n_coefficients(n_modes=16)
    16
    """

    is_complex: ClassVar[bool] = False

    def n_coefficients(self, n_modes: int) -> int:
        """Return one coefficient for each mode."""
        return n_modes

    def resolved(self, n_coefficients: int, n_points: int) -> slice:
        """Return the lowest modes, at most one for each point."""
        return slice(0, min(n_coefficients, n_points))

    def zero_mode(self, n_coefficients: int) -> int:
        """Return the first position."""
        return 0

    def analysis(self, n_points: int, n_coefficients: int, device: torch.device) -> Float[Tensor, "1 mode point"]:
        """Return the cosines over their sums of squares: N for the constant, N / 2 for the others."""
        multiplicity = torch.full((n_coefficients, 1), 2.0, dtype=torch.float64, device=device)
        multiplicity[0] = 1.0
        return self.synthesis(n_points, n_coefficients, device) * multiplicity / n_points

    def synthesis(self, n_points: int, n_coefficients: int, device: torch.device) -> Float[Tensor, "1 mode point"]:
        """Return the cosines."""
        modes = torch.arange(n_coefficients, device=device)
        half_points = 2 * torch.arange(n_points, device=device) + 1
        quarter_turns = torch.outer(modes, half_points) % (4 * n_points)
        return (quarter_turns.double() * (torch.pi / (2 * n_points))).cos()[None]
