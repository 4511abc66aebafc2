"""Initial state of a shear layer between a dense and a dilute gas."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.solvers.euler import Primitive

N_PERTURBATION_MODES = 8


def mixing_layer(
    x: Float[Tensor, " x"],
    y: Float[Tensor, " y"],
    seeds: Sequence[int],
    *,
    density_ratio: float,
    shear_velocity: float,
    width: float,
    perturbation: float,
    perturbation_width: float,
) -> Primitive:
    r"""Two gases in pressure equilibrium, and a seeded perturbation of the velocity across their interface.

    With :math:`S = (1 - \tanh(y / \delta)) / 2`, which is 1 in the dense gas below, the density is
    :math:`1 + (\chi - 1) S`, the velocity along x :math:`v_{rel} (1/2 - S)` and the pressure 1. The velocity along y is
    a sum of sine waves along x with random amplitudes, which fades with :math:`e^{-(y / \delta_v)^2}` and does not
    depend on the resolution.

    Args:
        x: Cell centres along x, on a periodic axis of length 1.
        y: Cell centres along y; the interface is at 0.
        seeds: Seed of each trajectory's perturbation.
        density_ratio: χ, density of the dense gas over that of the dilute gas, which is 1.
        shear_velocity: v_rel, difference of the velocities along x.
        width: δ of the transition.
        perturbation: Root mean square of the velocity along y at the interface.
        perturbation_width: δ_v of the perturbation.
    """
    dense = (0.5 * (1 - torch.tanh(y / width))).expand(len(seeds), len(x), len(y))
    waves = torch.stack([_random_waves(x, seed) for seed in seeds])[:, :, None]
    return Primitive(
        density=1 + (density_ratio - 1) * dense,
        velocity_x=shear_velocity * (0.5 - dense),
        velocity_y=perturbation * torch.exp(-((y / perturbation_width) ** 2)) * waves,
        pressure=torch.ones_like(dense),
    )


def _random_waves(x: Float[Tensor, " x"], seed: int) -> Float[Tensor, " x"]:
    """The longest periodic waves with normal amplitudes, of unit variance."""
    generator = torch.Generator().manual_seed(seed)
    cosine, sine = torch.randn(2, N_PERTURBATION_MODES, 1, generator=generator, dtype=torch.float64).to(x)
    mode = torch.arange(1, N_PERTURBATION_MODES + 1).to(x)[:, None]
    phase = 2 * math.pi * mode * x
    waves: Tensor = cosine * torch.cos(phase) + sine * torch.sin(phase)
    return waves.sum(dim=0) / math.sqrt(N_PERTURBATION_MODES)
