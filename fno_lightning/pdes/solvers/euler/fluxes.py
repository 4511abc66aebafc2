"""Fluxes through the faces of the cells: the MUSCL-Hancock predictor and the HLLC approximate Riemann solver."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fno_lightning.pdes.solvers.euler.state import Conserved, Primitive, sound_speed, total_energy

FacePair = tuple[Primitive, Primitive]
"""The states on the lower and on the upper side of every face across one axis."""


def face_fluxes(
    cells: Primitive, dt: Float[Tensor, "batch 1 1"], spacing: tuple[float, float], gamma: float
) -> tuple[Conserved, Conserved]:
    """Return the mean fluxes of a time step through the faces across x and across y.

    Args:
        cells: State with two ghost cells on every side, ``(batch, x + 4, y + 4)``.
        dt: Time step of each trajectory.
        spacing: Cell size along x and y.
        gamma: Ratio of specific heats.

    Returns:
        The fluxes across x, ``(batch, x + 1, y)``, and across y, ``(batch, x, y + 1)``.
    """
    (left, right), (below, above) = face_states(cells, dt, spacing, gamma)
    return hllc_flux(left, right, gamma), hllc_flux(below.swapped, above.swapped, gamma).swapped


def hllc_flux(left: Primitive, right: Primitive, gamma: float) -> Conserved:
    """Return the flux along x between two states, with the sound waves, the contact and the shear wave kept apart.

    Toro, Spruce and Speares, Shock Waves 4, 25 (1994), with the wave speed estimates of Davis, SIAM J. Sci. Stat.
    Comput. 9, 445 (1988). A contact or shear wave at rest has no numerical diffusion. The gas between the outer waves
    moves with the contact, so that the flux is everywhere that of one state: the left or right one, or the one behind
    its outer wave.

    Args:
        left: State on the lower side of each face.
        right: State on the upper side.
        gamma: Ratio of specific heats.
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


def monotonized_central(backward: Float[Tensor, "*cells"], forward: Float[Tensor, "*cells"]) -> Float[Tensor, "*cells"]:
    """Limit the slope in a cell, given the differences to both neighbours, so that no new extremum appears.

    The centred difference, but at most twice the smaller of the one-sided ones, and zero at an extremum (van Leer,
    J. Comput. Phys. 23, 276, 1977, eq. 66).
    """
    centred = 0.5 * (backward + forward)
    rising = torch.minimum(centred, 2 * torch.minimum(backward, forward)).clamp(min=0)
    falling = torch.maximum(centred, 2 * torch.maximum(backward, forward)).clamp(max=0)
    return rising + falling


def face_states(
    cells: Primitive, dt: Float[Tensor, "batch 1 1"], spacing: tuple[float, float], gamma: float
) -> tuple[FacePair, FacePair]:
    """Predict the states on both sides of every face at half the time step.

    Unsplit MUSCL-Hancock in primitive variables (Toro, "Riemann Solvers and Numerical Methods for Fluid Dynamics",
    3rd ed., sections 14.4 and 16.5). It stays positive through two safeguards that a smooth flow never meets: slopes
    of the velocity hold no more kinetic energy than the gas has heat, and a cell whose faces would lose their density
    or pressure within the half step is not advanced.

    Args:
        cells: State with two ghost cells on every side, ``(batch, x + 4, y + 4)``.
        dt: Time step of each trajectory.
        spacing: Cell size along x and y.
        gamma: Ratio of specific heats.

    Returns:
        The pairs across x, ``(batch, x + 1, y)``, and across y, ``(batch, x, y + 1)``.
    """
    dx, dy = spacing
    centre = Primitive(*(field[:, 1:-1, 1:-1] for field in cells))
    slopes_x = _slopes(Primitive(*(field[:, :, 1:-1] for field in cells)), centre, 1, gamma)
    slopes_y = _slopes(Primitive(*(field[:, 1:-1, :] for field in cells)), centre, 2, gamma)
    predicted = _advance(centre, slopes_x, slopes_y, 0.5 * dt / dx, 0.5 * dt / dy, gamma)
    positive = _positive_at_faces(predicted, slopes_x, slopes_y)
    middle = Primitive(*(torch.where(positive, new, old) for new, old in zip(predicted, centre, strict=True)))
    return _across(middle, slopes_x, dim=1), _across(middle, slopes_y, dim=2)


def _slopes(cells: Primitive, centre: Primitive, dim: int, gamma: float) -> Primitive:
    density, u, v, pressure = (_limited_difference(field, dim) for field in cells)
    # The slopes add ρ (u² + v²) / 8 to the kinetic energy of a cell; each axis may use a third of its p / (γ - 1).
    allowed = 8 / (3 * (gamma - 1)) * centre.pressure / centre.density
    scale = torch.sqrt((allowed / (u * u + v * v)).clamp(max=1))
    return Primitive(density, scale * u, scale * v, pressure)


def _limited_difference(field: Float[Tensor, "batch x y"], dim: int) -> Float[Tensor, "batch x2 y2"]:
    n_cells = field.shape[dim] - 2
    difference = field.narrow(dim, 1, n_cells + 1) - field.narrow(dim, 0, n_cells + 1)
    return monotonized_central(difference.narrow(dim, 0, n_cells), difference.narrow(dim, 1, n_cells))


def _advance(
    state: Primitive,
    slopes_x: Primitive,
    slopes_y: Primitive,
    ratio_x: Float[Tensor, "batch 1 1"],
    ratio_y: Float[Tensor, "batch 1 1"],
    gamma: float,
) -> Primitive:
    """Advance the Euler equations in primitive form, over a time of ``ratio`` (time per length) cell sizes."""
    density, u, v, pressure = state
    density_x, u_x, v_x, pressure_x = (ratio_x * slope for slope in slopes_x)
    density_y, u_y, v_y, pressure_y = (ratio_y * slope for slope in slopes_y)
    divergence = u_x + v_y
    specific_volume = 1 / density
    return Primitive(
        density - (u * density_x + v * density_y + density * divergence),
        u - (u * u_x + v * u_y + specific_volume * pressure_x),
        v - (u * v_x + v * v_y + specific_volume * pressure_y),
        pressure - (u * pressure_x + v * pressure_y + gamma * pressure * divergence),
    )


def _positive_at_faces(state: Primitive, slopes_x: Primitive, slopes_y: Primitive) -> Bool[Tensor, "batch x y"]:
    density_drop = 0.5 * torch.maximum(slopes_x.density.abs(), slopes_y.density.abs())
    pressure_drop = 0.5 * torch.maximum(slopes_x.pressure.abs(), slopes_y.pressure.abs())
    return (state.density > density_drop) & (state.pressure > pressure_drop)


def _across(middle: Primitive, slopes: Primitive, dim: int) -> FacePair:
    """Return the states on both sides of the faces across one axis; the ghost cells of the other axis are dropped."""
    other = 3 - dim
    n_faces, n_cells = middle.density.shape[dim] - 1, middle.density.shape[other] - 2

    def side(start: int, half: float) -> Primitive:
        fields = (centre + half * slope for centre, slope in zip(middle, slopes, strict=True))
        return Primitive(*(field.narrow(dim, start, n_faces).narrow(other, 1, n_cells) for field in fields))

    return side(0, 0.5), side(1, -0.5)
