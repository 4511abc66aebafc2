"""Random initial concentrations of the Gray-Scott equations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.solvers import PeriodicBox

Start = Literal["gaussians", "fourier", "both"]
"""Kind of initial state: clusters of Gaussians, a random Fourier series, or either with even odds."""

MIN_GAUSSIANS, MAX_GAUSSIANS = 10, 100
AMPLITUDE, INVERSE_WIDTH = (1.0, 3.0), (150.0, 300.0)
"""Ranges of a and s in the Gaussians a exp(-s |x - c|²)."""

N_NOISE = 32
"""Points along each axis of the noise that the Fourier series interpolates."""

NOISE = 0.25
"""Largest deviation of the noise from A = 1 and B = 0."""


def initial_concentrations(start: Start, seeds: Sequence[int], box: PeriodicBox) -> Float[Tensor, "batch 2 x y"]:
    """Return A and B for each seed, with lengths as on the square [-1, 1]².

    Gaussians: B is a sum of Gaussians, scaled to the range [0, 1], and A one less such a sum. Fourier: both interpolate
    uniform noise about A = 1 and B = 0.

    Args:
        start: Kind of initial state.
        seeds: Seed of each state.
        box: The grid.
    """
    states = {"gaussians": _gaussians, "fourier": _fourier_series}
    if start != "both":
        return states[start](seeds, box)
    of_gaussians = torch.tensor([bool(_generator(seed, 0).integers(2)) for seed in seeds], device=box.device)
    return torch.where(of_gaussians[:, None, None, None], _gaussians(seeds, box), _fourier_series(seeds, box))


def _gaussians(seeds: Sequence[int], box: PeriodicBox) -> Float[Tensor, "batch 2 x y"]:
    clusters = torch.from_numpy(np.stack([_random_clusters(seed) for seed in seeds])).to(box.device)
    fine = torch.linspace(-1, 1, 257, dtype=torch.float64, device=box.device)[1:]
    extent = _sum_of_gaussians(clusters, fine, fine).flatten(2)
    lowest, highest = extent.amin(dim=2)[..., None, None], extent.amax(dim=2)[..., None, None]
    x, y = (axis.double() for axis in box.coordinates)
    concentration = (_sum_of_gaussians(clusters, x, y) - lowest) / (highest - lowest)
    concentration[:, 0] = 1 - concentration[:, 0]
    return concentration.to(box.dtype)


def _random_clusters(seed: int) -> np.ndarray:
    """Amplitude, inverse width and centre of the Gaussians of A and B, ``(2, number, 4)``; unused ones have none."""
    generator = _generator(seed, 1)
    clusters = np.empty((2, MAX_GAUSSIANS, 4))
    for species in clusters:
        number = generator.integers(MIN_GAUSSIANS, MAX_GAUSSIANS + 1)
        species[:, 0] = generator.uniform(*AMPLITUDE, MAX_GAUSSIANS) * (np.arange(MAX_GAUSSIANS) < number)
        species[:, 1] = generator.uniform(*INVERSE_WIDTH, MAX_GAUSSIANS)
        species[:, 2:] = generator.uniform(-1, 1, (MAX_GAUSSIANS, 2))
    return clusters


def _sum_of_gaussians(clusters: Tensor, x: Tensor, y: Tensor) -> Float[Tensor, "batch 2 x y"]:
    """Sum periodic Gaussians, each a product of two functions of one coordinate."""
    amplitude, inverse_width, centre_x, centre_y = clusters[..., None].unbind(dim=3)

    def along(points: Tensor, centre: Tensor) -> Tensor:
        images = [torch.exp(-inverse_width * (points - centre + shift).square()) for shift in (-2, 0, 2)]
        return torch.stack(images).sum(dim=0)

    return torch.einsum("bsmx, bsmy -> bsxy", amplitude * along(x, centre_x), along(y, centre_y))


def _fourier_series(seeds: Sequence[int], box: PeriodicBox) -> Float[Tensor, "batch 2 x y"]:
    noise = torch.from_numpy(
        np.stack([_generator(seed, 2).uniform(-NOISE, NOISE, (2, N_NOISE, N_NOISE)) for seed in seeds])
    )
    basis_x, basis_y = (_interpolation(axis.double()) for axis in box.coordinates)
    fields = basis_x @ noise.to(box.device) @ basis_y.T
    fields[:, 0] += 1
    return fields.to(box.dtype)


def _interpolation(x: Float[Tensor, " points"]) -> Float[Tensor, "points noise"]:
    """Matrix from values at equidistant points on [-1, 1) to the trigonometric interpolant at x."""
    nodes = torch.arange(N_NOISE, dtype=x.dtype, device=x.device) * (2 / N_NOISE) - 1
    frequency = torch.arange(N_NOISE // 2 + 1, dtype=x.dtype, device=x.device)
    weight = torch.where((frequency == 0) | (frequency == N_NOISE // 2), 1, 2) / N_NOISE
    return (weight * torch.cos(math.pi * frequency * (x[:, None, None] - nodes[:, None]))).sum(dim=2)


def _generator(seed: int, purpose: int) -> np.random.Generator:
    """Independent random numbers for each purpose."""
    return np.random.default_rng([seed, purpose])
