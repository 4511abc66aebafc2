"""Random sources of the non-linear Poisson equation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

SOURCE_STREAM = 1
"""Set apart from the random numbers of the boundary values, which have the same seed."""


def random_gaussians(
    seeds: Sequence[int],
    coordinates: Sequence[Tensor],
    n_gaussians: int,
    amplitudes: tuple[float, float],
    widths: tuple[float, float],
) -> Float[Tensor, "batch x y"]:
    r"""Evaluate :math:`\sum_i \beta_i \exp(-|x - \mu_i|^2 / 2 \sigma_i^2)` with random parameters for each seed.

    Args:
        seeds: A seed means the same function on every grid.
        coordinates: Points along x and y, ``(points,)``; they set device and precision.
        n_gaussians: Number of Gaussians.
        amplitudes: Range of β, whose sign is random.
        widths: Range of σ; the centres μ are uniform in the unit square.
    """
    drawn = np.stack([_parameters(seed, n_gaussians, amplitudes, widths) for seed in seeds])
    parameters = torch.from_numpy(drawn).to(coordinates[0])
    beta, sigma, mu_x, mu_y = (values[..., None] for values in parameters.unbind(dim=1))
    x, y = (
        torch.exp(-0.5 * ((axis - mu) / sigma).square()) for axis, mu in zip(coordinates, (mu_x, mu_y), strict=True)
    )
    return torch.einsum("bix,biy->bxy", beta * x, y)


def _parameters(
    seed: int, n_gaussians: int, amplitudes: tuple[float, float], widths: tuple[float, float]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    generator = np.random.default_rng([seed, SOURCE_STREAM])
    beta = generator.uniform(*amplitudes, n_gaussians) * generator.choice([-1.0, 1.0], n_gaussians)
    return np.stack([beta, generator.uniform(*widths, n_gaussians), *generator.uniform(0, 1, (2, n_gaussians))])
