"""Cosines and sines of half-waves, for axes whose ends have zero gradient or zero value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.layers.basis import RealBasis

Parity: TypeAlias = Literal["even", "odd"]


@dataclass(frozen=True)
class HalfWaveBasis(RealBasis):
    r"""Cosines and sines on cell centres, which continue a field evenly or oddly beyond the two ends of an axis.

    .. math:: \varphi_k(x_j) = \begin{cases}
        \cos \pi k \xi_j                & \text{even, even (discrete cosine transform II)} \\
        \sin \pi (k + 1) \xi_j          & \text{odd, odd (discrete sine transform II)} \\
        \sin \pi (k + \tfrac12) \xi_j   & \text{odd, even (discrete sine transform IV)} \\
        \cos \pi (k + \tfrac12) \xi_j   & \text{even, odd (discrete cosine transform IV)}
        \end{cases}, \qquad \xi_j = \frac{j + 1/2}{N}, \quad k = 0, \dots, m - 1

    The functions have zero gradient at an even end and are zero at an odd one. None continues a field with the jumps of
    a periodic continuation of an open or wall-bounded axis. Equal numbers of modes resolve equal wavelengths in these
    and in the Fourier basis.

    Args:
        lower: Continuation at the lower end.
        upper: Continuation at the upper end.

    >>> cosine, sine, cpu = HalfWaveBasis("even", "even"), HalfWaveBasis("odd", "odd"), torch.device("cpu")
    >>> angle = torch.pi * (torch.arange(8, dtype=torch.float64) + 0.5) / 8
    >>> (cosine.analysis(8, 3, cpu) @ (3 + torch.cos(angle))).round(decimals=4).abs().tolist()
    [[3.0, 1.0, 0.0]]
    >>> (sine.analysis(8, 3, cpu) @ (5 * torch.sin(2 * angle))).round(decimals=4).abs().tolist()
    [[0.0, 5.0, 0.0]]
    """

    lower: Parity
    upper: Parity

    @property
    def has_constant(self) -> bool:
        """Whether both ends are even."""
        return (self.lower, self.upper) == ("even", "even")

    def analysis(self, n_points: int, n_coefficients: int, device: torch.device) -> Float[Tensor, "1 mode point"]:
        """Return the functions over their sums of squares: N / 2, and N for cos 0 and for a sine that alternates."""
        n_quarters = self._quarter_waves(n_coefficients, device)
        alone = (n_quarters == 0) | (n_quarters == 2 * n_points)
        multiplicity = torch.where(alone, 1.0, 2.0).double()
        return self.synthesis(n_points, n_coefficients, device) * multiplicity[:, None] / n_points

    def synthesis(self, n_points: int, n_coefficients: int, device: torch.device) -> Float[Tensor, "1 mode point"]:
        """Return the functions."""
        half_points = 2 * torch.arange(n_points, device=device) + 1
        turns = torch.outer(self._quarter_waves(n_coefficients, device), half_points) % (8 * n_points)
        angle = turns.double() * (torch.pi / (4 * n_points))
        return (angle.cos() if self.lower == "even" else angle.sin())[None]

    def _quarter_waves(self, n_coefficients: int, device: torch.device) -> Tensor:
        """Return how many quarters of a wave of each function fit into the axis: ``(mode,)``."""
        lowest = 0 if self.has_constant else 2 if self.lower == self.upper else 1
        return 2 * torch.arange(n_coefficients, device=device) + lowest
