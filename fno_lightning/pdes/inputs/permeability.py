"""Random permeabilities of the unit square."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.inputs.random_fields import GaussianRandomField, unit_gaussian_field
from fno_lightning.pdes.requirements import require_positive


class Permeability(ABC):
    """A family of random permeabilities; a subclass is a frozen dataclass of plain values."""

    @abstractmethod
    def sample(self, seeds: Sequence[int], coordinates: Sequence[Tensor]) -> Float[Tensor, "batch x y"]:
        """Evaluate one permeability, positive everywhere, for each seed.

        Args:
            seeds: A seed means the same function on every grid.
            coordinates: Points along x and y, ``(points,)``, in [0, 1]; they set device and precision.
        """


@dataclass(frozen=True)
class ThresholdedGaussian(Permeability):
    r"""Two rocks with smooth interfaces: k = ``high`` where a Gaussian random field is at least 0, else ``low``.

    The field is drawn from :math:`\mathcal N(0, (-\Delta + \tau^2)^{-\alpha})` with zero gradient at the sides.

    Args:
        high: Permeability where the field is at least 0.
        low: Permeability where it is negative.
        smoothness: α; above 1.
        inverse_length: τ.

    Raises:
        ValueError: if a value is not positive.

    Good values: the defaults, those of the reference.

    Reference: Li et al. 2021, arXiv:2010.08895, appendix A.3.2.
    """

    high: float = 12.0
    low: float = 3.0
    smoothness: float = 2.0
    inverse_length: float = 3.0

    def __post_init__(self) -> None:
        require_positive(high=self.high, low=self.low, inverse_length=self.inverse_length)
        _require_smooth(self.smoothness)

    def sample(self, seeds: Sequence[int], coordinates: Sequence[Tensor]) -> Float[Tensor, "batch x y"]:
        """Evaluate one permeability for each seed; see :meth:`Permeability.sample`."""
        field = GaussianRandomField(self.smoothness, self.inverse_length, 1.0, "zero-gradient")
        return _two_values(field.sample(seeds, coordinates), self.low, self.high)


@dataclass(frozen=True)
class LogNormal(Permeability):
    r"""Rock whose permeability varies smoothly over orders of magnitude: :math:`k = k_0\, e^{\sigma g}`.

    g is drawn from :math:`\mathcal N(0, c\, (-\Delta + \tau^2)^{-\alpha})` with zero gradient at the sides, c such that
    its variance is 1 on average over the square.

    Args:
        sigma: σ, standard deviation of the logarithm.
        median: k₀.
        smoothness: α; above 1.
        inverse_length: τ.

    Raises:
        ValueError: if a value is not positive.

    Good values: σ = 1, where the largest permeability is some hundred times the smallest; their ratio is squared by
    doubling σ.
    """

    sigma: float = 1.0
    median: float = 1.0
    smoothness: float = 2.0
    inverse_length: float = 3.0

    def __post_init__(self) -> None:
        require_positive(sigma=self.sigma, median=self.median, inverse_length=self.inverse_length)
        _require_smooth(self.smoothness)

    def sample(self, seeds: Sequence[int], coordinates: Sequence[Tensor]) -> Float[Tensor, "batch x y"]:
        """Evaluate one permeability for each seed; see :meth:`Permeability.sample`."""
        field = unit_gaussian_field(self.smoothness, self.inverse_length)
        return self.median * torch.exp(self.sigma * field.sample(seeds, coordinates))


@dataclass(frozen=True)
class ThresholdedFourier(Permeability):
    r"""Two rocks: k = ``high`` where a random Fourier sum is at least 0, else ``low``.

    .. math:: \sum_{i,j=0}^{F-1} a_{ij} s_i(x) s_j(y) + b_{ij} c_i(x) s_j(y) + c_{ij} s_i(x) c_j(y)
              + d_{ij} c_i(x) c_j(y)

    with :math:`s_i(x) = \sin 2 \pi i x`, :math:`c_i(x) = \cos 2 \pi i x` and amplitudes uniform in [-1, 1].

    Args:
        n_frequencies: F, along each axis.
        high: Permeability where the sum is at least 0.
        low: Permeability where it is negative.

    Raises:
        ValueError: if a value is not positive.

    Good values: the defaults, those of the reference.

    Reference: ``Darcy2D`` of NVIDIA PhysicsNeMo.
    """

    n_frequencies: int = 5
    high: float = 2.0
    low: float = 0.5

    def __post_init__(self) -> None:
        require_positive(n_frequencies=float(self.n_frequencies), high=self.high, low=self.low)

    def sample(self, seeds: Sequence[int], coordinates: Sequence[Tensor]) -> Float[Tensor, "batch x y"]:
        """Evaluate one permeability for each seed; see :meth:`Permeability.sample`."""
        shape = (2, 2, self.n_frequencies, self.n_frequencies)
        drawn = np.stack([np.random.default_rng(seed).uniform(-1, 1, shape) for seed in seeds])
        amplitudes = torch.from_numpy(drawn).to(coordinates[0])
        x, y = (self._waves(axis) for axis in coordinates)
        return _two_values(torch.einsum("bpqij,pix,qjy->bxy", amplitudes, x, y), self.low, self.high)

    def _waves(self, x: Float[Tensor, " cells"]) -> Float[Tensor, "2 frequency cells"]:
        """Sines and cosines."""
        phase = 2 * math.pi * torch.arange(self.n_frequencies, device=x.device)[:, None] * x
        return torch.stack([phase.sin(), phase.cos()])


def _two_values(field: Tensor, low: float, high: float) -> Tensor:
    return torch.where(field >= 0, field.new_tensor(high), field.new_tensor(low))


def _require_smooth(smoothness: float) -> None:
    if not 1 < smoothness < math.inf:
        raise ValueError(f"smoothness is {smoothness}, but above 1 the field has a finite variance: choose e.g. 2")
