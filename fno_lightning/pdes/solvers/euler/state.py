r"""The state of an ideal gas in primitive and in conserved variables.

.. math:: p = (\gamma - 1)\, \rho\, e, \qquad E = \rho\, e + \tfrac12 \rho\, (u^2 + v^2)

with density ρ, velocity (u, v), pressure p, internal energy e per mass, total energy E per volume and the ratio of
specific heats γ. All variables are cell averages of shape ``(batch, x, y)``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Primitive(NamedTuple):
    """Density, velocity and pressure."""

    density: Float[Tensor, "batch x y"]
    velocity_x: Float[Tensor, "batch x y"]
    velocity_y: Float[Tensor, "batch x y"]
    pressure: Float[Tensor, "batch x y"]

    @property
    def swapped(self) -> Primitive:
        """The same state with the two components of the velocity exchanged."""
        return Primitive(self.density, self.velocity_y, self.velocity_x, self.pressure)


class Conserved(NamedTuple):
    """Mass, momentum and total energy per volume; also their fluxes."""

    density: Float[Tensor, "batch x y"]
    momentum_x: Float[Tensor, "batch x y"]
    momentum_y: Float[Tensor, "batch x y"]
    energy: Float[Tensor, "batch x y"]

    @property
    def swapped(self) -> Conserved:
        """The same state with the two components of the momentum exchanged."""
        return Conserved(self.density, self.momentum_y, self.momentum_x, self.energy)


def to_primitive(state: Conserved, gamma: float) -> Primitive:
    """Return the primitive variables of a conserved state."""
    density, momentum_x, momentum_y, energy = state
    specific_volume = 1 / density
    u, v = momentum_x * specific_volume, momentum_y * specific_volume
    return Primitive(density, u, v, (gamma - 1) * (energy - 0.5 * (momentum_x * u + momentum_y * v)))


def to_conserved(state: Primitive, gamma: float) -> Conserved:
    """Return the conserved variables of a primitive state."""
    density, u, v, _ = state
    return Conserved(density, density * u, density * v, total_energy(state, gamma))


def total_energy(state: Primitive, gamma: float) -> Float[Tensor, "batch x y"]:
    """Return internal and kinetic energy per volume."""
    density, u, v, pressure = state
    return 1 / (gamma - 1) * pressure + 0.5 * density * (u * u + v * v)


def sound_speed(state: Primitive, gamma: float) -> Float[Tensor, "batch x y"]:
    """Return the speed of sound, the square root of γ p / ρ."""
    return torch.sqrt(gamma * state.pressure / state.density)
