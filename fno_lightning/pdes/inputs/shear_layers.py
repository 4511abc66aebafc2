"""Layers of shear between streams, and the waves that they grow from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

N_IMAGES = 3
"""Periodic images on each side; a layer's tanh is constant to 1e-6 at that distance if it is at most 0.8 wide."""

LONG_WAVE = 0.1
"""Amplitude of the longest wave, relative to that of the others."""


class Shear(NamedTuple):
    """Velocity on a grid, ``(batch, x, y)``, not yet free of divergence.

    Attributes:
        stream: Along x, a function of y.
        wave: Along y, the perturbation.
    """

    stream: Tensor
    wave: Tensor


@dataclass(frozen=True)
class ShearLayers:
    r"""Random periodic streams along x, of speed ±1/2 in turn, with waves on the layers between them.

    .. math::
        u(y) &= \tfrac12 - \tfrac12 \sum_k (-1)^k \tanh \frac{y - y_k}{\delta}, \quad \delta = \frac{w}{5 n}, \\
        v(x, y) &= a \sum_k \left( \sin(2 \pi m x + \phi_k) + \tfrac1{10} \sin(2 \pi x + \chi_k) \right)
        e^{-(y - y_k)^2 / \delta^2}

    with n layers k = 0 ... n-1 at equal distances on the period [-1, 1] of y; x has the period 1. The longer wave lets
    vortices pair. Sums go over periodic images too, which keeps wide layers smooth.

    Args:
        layers: Numbers n, even; a seed draws one.
        waves: Numbers m of wavelengths along x; a seed draws one.
        widths: Range of w; a seed draws its logarithm uniformly, and the phases φ, χ.
        amplitude: a.
    """

    layers: Sequence[int]
    waves: Sequence[int]
    widths: tuple[float, float]
    amplitude: float

    def sample(self, seeds: Sequence[int], x: Tensor, y: Tensor) -> Shear:
        """Evaluate the shear of each seed.

        Args:
            seeds: Seed of each state.
            x: Points along x, ``(points,)``; they set device and precision.
            y: Points along y, likewise.
        """
        drawn = torch.from_numpy(np.stack([self._draw(seed) for seed in seeds])).to(x)
        n_layers, n_waves, width = drawn[:, :3, None, None].unbind(dim=1)
        phase, long_phase = drawn[:, 3:, None, None].chunk(2, dim=1)
        layer = torch.arange(phase.shape[1], device=x.device, dtype=x.dtype)[None, :, None, None]
        thickness = (width / (5 * n_layers))[:, None]
        n_layers, n_waves = n_layers[:, None], n_waves[:, None]
        distance = y - (2 * layer + 1) / n_layers + 1
        present = (layer < n_layers).to(x)
        sign = present * (1 - 2 * ((layer + 1) % 2))
        images = [2.0 * image for image in range(-N_IMAGES, N_IMAGES + 1)]
        steps = sum(torch.tanh((distance + shift) / thickness) for shift in images)
        bumps = sum(torch.exp(-((distance + shift) / thickness).square()) for shift in images)
        stream = 0.5 + 0.5 * (sign * steps).sum(dim=1)
        angle = 2 * torch.pi * x[:, None]
        waves = torch.sin(n_waves * angle + phase) + LONG_WAVE * torch.sin(angle + long_phase)
        wave = self.amplitude * (present * waves * bumps).sum(dim=1)
        return Shear(stream.expand_as(wave), wave)

    def _draw(self, seed: int) -> Float[np.ndarray, " numbers"]:
        """n, m, w and the phases of as many layers as there may be."""
        generator = np.random.default_rng(seed)
        n_layers, n_waves = generator.choice(self.layers), generator.choice(self.waves)
        width = np.exp(generator.uniform(*np.log(self.widths)))
        phases = generator.uniform(0, 2 * np.pi, 2 * max(self.layers))
        return np.array([n_layers, n_waves, width, *phases])
