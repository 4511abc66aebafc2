"""Random sources of the transfer-learning study: sparse mixtures of Gaussians on a lattice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

N_POINTS_OF_MAXIMUM = 128
"""The maximum that a source is divided by is taken on this grid, so that a seed means the same source on every grid."""


@dataclass(frozen=True)
class GaussianSources:
    r"""Sources :math:`f(x) = \sum_i a_i\, e^{-|x - x_i|^2 / 2\sigma^2}`, divided by their maximum.

    The centres form a lattice in the middle of the unit square, 2σ apart. Each is active with probability 1 - s, with
    a sparsity s drawn from ``sparsities``, and its amplitude is uniform in [0.001, 1]; at least one is active.

    Reference: Subramanian et al., NeurIPS 2023, arXiv:2306.00258, section 3 and appendix.

    Args:
        n_gaussians: Centres along each axis.
        sigma: σ, width of a Gaussian.
        sparsities: Sparsities s, equally likely.

    Raises:
        ValueError: if a number is out of range, or the lattice does not fit into the square.
    """

    n_gaussians: int = 12
    sigma: float = 1 / 32
    sparsities: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)

    def __post_init__(self) -> None:
        if not self.sparsities or not all(0 <= sparsity < 1 for sparsity in self.sparsities):
            raise ValueError(f"sparsities are {self.sparsities}, expected fractions from 0 to below 1")
        if self.n_gaussians < 1 or not 0 < 2 * self.sigma * (self.n_gaussians - 1) < 1:
            raise ValueError(
                f"{self.n_gaussians} Gaussians {2 * self.sigma:g} apart do not fit into the unit square: choose fewer "
                "(n_gaussians), or narrower ones (sigma)"
            )

    def require_resolved(self, resolution: Sequence[int]) -> None:
        """Check that a grid resolves the Gaussians.

        Raises:
            ValueError: if a width is less than a grid cell.
        """
        if min(resolution) * self.sigma < 1:
            raise ValueError(
                f"resolution is {list(resolution)}, too coarse for Gaussians of width sigma = {self.sigma:g}: choose "
                f"at least {int(np.ceil(1 / self.sigma))} points along each axis, or wider Gaussians"
            )

    def draw(self, generators: Sequence[np.random.Generator]) -> Float[Tensor, "batch lattice lattice"]:
        """Draw amplitudes of the Gaussians, one lattice for each generator, float64 on the CPU."""
        return torch.from_numpy(np.stack([self._amplitudes(generator) for generator in generators]))

    def evaluate(
        self, amplitudes: Float[Tensor, "batch lattice lattice"], x: Float[Tensor, " x"], y: Float[Tensor, " y"]
    ) -> Float[Tensor, "batch x y"]:
        """Evaluate the sources at the points of a grid.

        Args:
            amplitudes: Amplitudes of the Gaussians, see :meth:`draw`.
            x: Points along x; they set device and precision.
            y: Points along y.
        """
        amplitudes = amplitudes.to(x)
        reference = torch.arange(N_POINTS_OF_MAXIMUM).to(x) / N_POINTS_OF_MAXIMUM
        maximum = self._mixture(amplitudes, reference, reference).amax(dim=(1, 2), keepdim=True)
        return self._mixture(amplitudes, x, y) / maximum

    def _mixture(self, amplitudes: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return self._bumps(x) @ amplitudes @ self._bumps(y).T

    def _bumps(self, x: Tensor) -> Tensor:
        """The factor of each Gaussian along one axis, ``(points, lattice)``."""
        centres = 0.5 + 2 * self.sigma * (torch.arange(self.n_gaussians).to(x) - (self.n_gaussians - 1) / 2)
        return torch.exp(-0.5 * ((x[:, None] - centres) / self.sigma).square())

    def _amplitudes(self, generator: np.random.Generator) -> np.ndarray:
        shape = (self.n_gaussians, self.n_gaussians)
        sparsity = generator.choice(self.sparsities)
        amplitudes = generator.uniform(1e-3, 1, shape)
        active = generator.random(shape) >= sparsity
        active.flat[generator.integers(active.size)] |= not active.any()
        return np.where(active, amplitudes, 0.0)
