"""Radiative cooling of a gas between two stable phases."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.solvers.euler import Conserved, to_primitive


@dataclass(frozen=True)
class RadiativeCooling:
    r"""Cooling at intermediate temperatures, with a cold and a hot phase in thermal equilibrium.

    .. math::
        \partial_t E = -\Lambda \rho^2 L(T), \qquad
        L(T) = \max\left(e^{-\ln^2(T / T_{mix}) / 2 s^2} - e^{-\ln^2(T_{cold} / T_{mix}) / 2 s^2},\, 0\right)

    with T = p / ρ and T_mix the geometric mean of both phases' temperatures. The factor Λ is set by t_cool, which is
    the shortest cooling time (heat over cooling rate) of any gas at the given pressure; the phases do not cool.

    A call advances every cell at constant density. The fraction x = ln(T / T_cold) / ln(T_hot / T_cold) of the way
    between the phases obeys dx/dt = -r(x) x (1 - x) with a smooth rate r > 0. Taking r at the midpoint of the step, the
    logistic equation is solved exactly; so temperatures stay between the phases for any time step, the error is of
    third order in the step, and vanishes close to either phase.

    Reference for the curve: Fielding et al., ApJL 894, L24 (2020).

    Args:
        cooling_time: t_cool of each trajectory, ``(batch, 1, 1)``.
        cold_temperature: T of the cold phase.
        hot_temperature: T of the hot phase.
        pressure: Pressure at which t_cool is defined.
        width: s, width of the cooling curve in ln T.
        gamma: Ratio of specific heats γ.
    """

    cooling_time: Float[Tensor, "batch 1 1"]
    cold_temperature: float
    hot_temperature: float
    pressure: float = 1.0
    width: float = 0.7
    gamma: float = 5 / 3

    def __call__(self, state: Conserved, dt: Float[Tensor, "batch 1 1"]) -> Conserved:
        """Advance the energy of every cell by the time step of its trajectory."""
        density, _, _, pressure = to_primitive(state, self.gamma)
        fraction = self._fraction(density, pressure)
        time = dt * self._rate_scale * density
        halfway = _logistic(fraction, 0.5 * time * self._rate(fraction))
        cooled = _logistic(fraction, time * self._rate(halfway))
        change = 1 / (self.gamma - 1) * pressure * torch.expm1(self._log_contrast * (cooled - fraction))
        mixed = (fraction > 0) & (fraction < 1)
        energy = state.energy + torch.where(mixed, change, 0)
        # torch 2.11 cannot compile a _replace
        return Conserved(state.density, state.momentum_x, state.momentum_y, energy)

    def rate(self, state: Conserved) -> Float[Tensor, "batch x y"]:
        """Return the rate of change of the energy of every cell."""
        density, _, _, pressure = to_primitive(state, self.gamma)
        fraction = self._fraction(density, pressure)
        slope = -self._rate_scale * density * self._rate(fraction) * fraction * (1 - fraction)
        mixed = (fraction > 0) & (fraction < 1)
        return torch.where(mixed, self._log_contrast / (self.gamma - 1) * pressure * slope, 0)

    def _fraction(self, density: Tensor, pressure: Tensor) -> Tensor:
        """The way between the phases, x."""
        return (torch.log(pressure / density) - math.log(self.cold_temperature)) * (1 / self._log_contrast)

    def _rate(self, fraction: Float[Tensor, "batch x y"]) -> Float[Tensor, "batch x y"]:
        """The rate r(x) for unit density and unit scale; it tends to a constant in either phase."""
        both = (fraction * (1 - fraction)).clamp(min=1e-4)
        return torch.expm1(self._sharpness * both) / both * torch.exp(self._log_contrast * (0.5 - fraction))

    @property
    def _rate_scale(self) -> Float[Tensor, "batch 1 1"]:
        """From Λ: the gas that cools fastest, where T² / L(T) is least, is at T_mix exp(-2 s²) (but for L's offset)."""
        mixed_density = self.pressure / math.sqrt(self.cold_temperature * self.hot_temperature)
        fastest = math.exp(2 * self.width**2) * self.cooling_time
        return math.exp(-self._sharpness / 4) / (fastest * mixed_density * self._log_contrast)

    @property
    def _sharpness(self) -> float:
        """A, with which the curve is L = exp(-A / 4) (exp(A x (1 - x)) - 1), so that x (1 - x) divides out."""
        return self._log_contrast**2 / (2 * self.width**2)

    @property
    def _log_contrast(self) -> float:
        return math.log(self.hot_temperature / self.cold_temperature)


def _logistic(fraction: Tensor, decay: Tensor) -> Tensor:
    """Solution of dx/dτ = -x (1 - x) after the time ``decay``."""
    return fraction / (fraction + (1 - fraction) * torch.exp(decay))
