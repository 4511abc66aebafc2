"""Gaussian random fields that are the same functions on every grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

MAX_FREQUENCIES = {1: 512, 2: 64, 3: 16}
"""Highest frequency along each axis by number of axes; what is left out is below 1e-4 of the field for alpha >= 2."""

_N_FREQUENCIES = 64  # along each axis, that a variance is summed over


@dataclass(frozen=True)
class GaussianRandomField:
    r"""Draws from the Gaussian measure :math:`\mathcal N(0, \sigma^2 (-\Delta + \tau^2)^{-\alpha})` on a box.

    A field is a Karhunen-Loève sum of the Laplacian's eigenfunctions without the constant one (zero mean), with
    independent normal coefficients of variance :math:`\sigma^2 (\kappa^2 + \tau^2)^{-\alpha}`, κ the wavenumber:

    - periodic: products of :math:`1, \sqrt2 \cos 2\pi k x / L, \sqrt2 \sin 2\pi k x / L`;
    - zero gradient: products of :math:`1, \sqrt2 \cos \pi k x / L`.

    Coefficients are drawn from low to high frequencies, so a seed means the same function on every grid that resolves
    it, whatever the device and the batch. The conventions are those of Li et al. 2021, arXiv:2010.08895, appendix A.3.

    Args:
        alpha: α, smoothness.
        tau: τ, inverse length scale.
        sigma: σ, amplitude.
        boundary: Condition on every side.
        lengths: L, length of the box along each axis.
    """

    alpha: float
    tau: float
    sigma: float
    boundary: Literal["periodic", "zero-gradient"] = "periodic"
    lengths: tuple[float, ...] = (1.0, 1.0)

    def sample(self, seeds: Sequence[int], coordinates: Sequence[Tensor]) -> Float[Tensor, " batch *grid"]:
        """Evaluate one field for each seed.

        Args:
            seeds: Seeds of the fields.
            coordinates: Points along each axis, ``(points,)``, measured from the lower edge of the box; they set device
                and precision.
        """
        like = coordinates[0]
        frequencies = min(MAX_FREQUENCIES[len(coordinates)], *(self._resolved(len(x)) for x in coordinates))
        n_functions = 2 * frequencies + 1 if self.boundary == "periodic" else frequencies + 1
        noise = np.stack([_noise(seed, n_functions, len(coordinates)) for seed in seeds])
        fields = torch.from_numpy(noise).to(like) * self._spread(n_functions).to(like)
        for axis, (x, length) in enumerate(zip(coordinates, self.lengths, strict=True), start=1):
            functions = self._functions(x / length, n_functions)
            fields = torch.movedim(torch.tensordot(fields, functions, dims=([axis], [1])), -1, axis)
        return fields

    def _resolved(self, n_points: int) -> int:
        """Highest frequency that a grid tells from all lower ones."""
        return (n_points - 1) // 2 if self.boundary == "periodic" else n_points - 1

    def _spread(self, n_functions: int) -> Tensor:
        """Standard deviation of each coefficient, ``(function, ...)`` for each axis."""
        number = torch.arange(n_functions, dtype=torch.float64)
        turns = 2 * ((number + 1) // 2) if self.boundary == "periodic" else number
        n_dims = len(self.lengths)
        square = torch.zeros((1,) * n_dims, dtype=torch.float64)
        for axis, length in enumerate(self.lengths):
            square = square + (math.pi * turns / length).square().view(-1, *(1,) * (n_dims - 1 - axis))
        spread = self.sigma * (square + self.tau**2).pow(-self.alpha / 2)
        spread.view(-1)[0] = 0
        return spread

    def _functions(self, x: Tensor, n_functions: int) -> Tensor:
        """Orthonormal eigenfunctions of one axis of unit length, ``(points, function)``."""
        number = torch.arange(n_functions, dtype=torch.float64, device=x.device)
        if self.boundary == "zero-gradient":
            functions = math.sqrt(2) * torch.cos(math.pi * number * x[:, None])
        else:
            phase = 2 * math.pi * ((number + 1) // 2) * x[:, None]
            functions = math.sqrt(2) * torch.where(number % 2 == 1, torch.cos(phase), torch.sin(phase))
        functions[:, 0] = 1
        return functions.to(x.dtype)


def _noise(seed: int, n_functions: int, n_dims: int) -> npt.NDArray[np.float64]:
    """Normal numbers that do not depend on how many higher functions there are."""
    noise = np.empty(n_functions**n_dims)
    noise[_from_low_to_high(n_functions, n_dims)] = np.random.default_rng(seed).standard_normal(noise.size)
    return noise.reshape((n_functions,) * n_dims)


@cache
def _from_low_to_high(n_functions: int, n_dims: int) -> npt.NDArray[np.int64]:
    """Positions of the functions in the order of the highest of their numbers."""
    numbers = np.indices((n_functions,) * n_dims).reshape(n_dims, -1)
    order: npt.NDArray[np.int64] = np.lexsort((*numbers, numbers.max(axis=0)))
    return order


def unit_gaussian_field(alpha: float, tau: float) -> GaussianRandomField:
    r"""A Gaussian random field with zero-gradient sides whose square is 1 on average over draws and the square.

    Args:
        alpha: α, smoothness; above 1, or the variance would be infinite.
        tau: τ, inverse length scale.
    """
    k = math.pi * torch.arange(_N_FREQUENCIES + 1, dtype=torch.float64)
    variances = (k[:, None].square() + k.square() + tau**2).pow(-alpha)
    return GaussianRandomField(alpha, tau, (variances.sum() - variances[0, 0]).rsqrt().item(), "zero-gradient")
