"""The HLLC approximate Riemann solver."""

from __future__ import annotations

import torch

from fno_lightning.pdes.solvers.euler.state import Conserved, Primitive, sound_speed, total_energy


def hllc_flux(left: Primitive, right: Primitive, gamma: float) -> Conserved:
    """Flux along x between two states, with the sound waves, the contact and the shear wave kept apart.

    Toro, Spruce and Speares, Shock Waves 4, 25 (1994), with the wave speed estimates of Davis, SIAM J. Sci. Stat.
    Comput. 9, 445 (1988). A contact or shear wave at rest has no numerical diffusion. The gas between the outer waves
    moves with the contact, so that the flux is everywhere that of one state: the left or right one, or the one behind
    its outer wave.
    """
    sound_left, sound_right = sound_speed(left, gamma), sound_speed(right, gamma)
    wave_left = torch.minimum(left.velocity_x - sound_left, right.velocity_x - sound_right)
    wave_right = torch.maximum(left.velocity_x + sound_left, right.velocity_x + sound_right)
    mass_left = left.density * (wave_left - left.velocity_x)
    mass_right = right.density * (wave_right - right.velocity_x)
    contact = (right.pressure - left.pressure + mass_left * left.velocity_x - mass_right * right.velocity_x) / (
        mass_left - mass_right
    )

    from_left = contact >= 0
    upwind = Primitive(*(torch.where(from_left, *sides) for sides in zip(left, right, strict=True)))
    wave = torch.where(from_left, wave_left, wave_right)
    mass = torch.where(from_left, mass_left, mass_right)
    energy = total_energy(upwind, gamma)
    density, velocity, tangential, pressure = upwind

    between = (wave_left < 0) & (wave_right > 0)
    star_pressure = pressure + mass * (contact - velocity)
    compression = 1 / (wave - contact)
    star_energy = ((wave - velocity) * energy - pressure * velocity + star_pressure * contact) * compression
    density = torch.where(between, mass * compression, density)
    velocity = torch.where(between, contact, velocity)
    pressure = torch.where(between, star_pressure, pressure)
    energy = torch.where(between, star_energy, energy)

    mass_flux = density * velocity
    return Conserved(mass_flux, mass_flux * velocity + pressure, mass_flux * tangential, (energy + pressure) * velocity)
