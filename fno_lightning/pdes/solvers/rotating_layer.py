"""A layer of water on a rotating sphere."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from fno_lightning.pdes.solvers.budget import Budget
from fno_lightning.pdes.solvers.sphere import Sphere


class RotatingLayer:
    r"""Shallow water on the unit sphere in vorticity ζ, divergence δ and geopotential Φ = g h.

    .. math::
        \partial_t \zeta = -\nabla \cdot (\zeta + f) u, \quad
        \partial_t \delta = \hat k \cdot \nabla \times (\zeta + f) u - \Delta (\Phi + \tfrac12 |u|^2), \quad
        \partial_t \Phi = -\nabla \cdot \Phi u

    States are coefficients ``(batch, 3, degree, order)`` of :class:`Sphere`. Lengths are in radii of the sphere.

    Args:
        sphere: Truncation and grid.
        coriolis: f on the grid of the sphere.

    Reference: Williamson et al., J. Comput. Phys. 102 (1992), section 2.
    """

    def __init__(self, sphere: Sphere, coriolis: Float[Tensor, "latitude longitude"]) -> None:
        self.sphere = sphere
        self.coriolis = coriolis

    def rate(self, state: Complex[Tensor, "batch 3 degree order"]) -> Complex[Tensor, "batch 3 degree order"]:
        """Return the time derivative of states."""
        sphere = self.sphere
        vorticity, geopotential = sphere.synthesis(state[:, ::2]).unbind(dim=1)
        east, north = sphere.wind(state[:, 0], state[:, 1])
        fluxes = torch.stack([vorticity + self.coriolis, geopotential])
        curl, divergence = sphere.curl_and_divergence(fluxes * east, fluxes * north)
        head = state[:, 2] + sphere.analysis(self.kinetic_energy(east, north))
        return torch.stack([-divergence[0], curl[0] - sphere.laplacian * head, -divergence[1]], dim=1)

    def balanced(self, vorticity: Complex[Tensor, "batch degree order"]) -> Complex[Tensor, "batch 3 degree order"]:
        """Return the state without divergence whose divergence does not change at first, and Φ without mean."""
        nothing = torch.zeros_like(vorticity)
        state = torch.stack([vorticity, nothing, nothing], dim=1)
        state[:, 2] = self.rate(state)[:, 1] * self.sphere.inverse_laplacian
        return state

    def kinetic_energy(
        self, east: Float[Tensor, "*fields"], north: Float[Tensor, "*fields"]
    ) -> Float[Tensor, "*fields"]:
        """Return half the square of winds that are given times the sine of the colatitude."""
        return 0.5 * (east.square() + north.square()) / (1 - self.sphere.height.square())

    def energy(
        self, state: Complex[Tensor, "batch 3 degree order"], damping: Float[Tensor, "degree 1"], rest: float
    ) -> Budget:
        """Return the total energy, times g, less that of a layer at rest, and what a damping takes from it.

        Args:
            state: The states.
            damping: Rate of change of each coefficient over its value.
            rest: Mean of the geopotential.
        """
        change = damping * state
        east, north = self.sphere.wind(
            torch.stack([state[:, 0], change[:, 0]]), torch.stack([state[:, 1], change[:, 1]])
        )
        depth, lost_depth = self.sphere.synthesis(torch.stack([state[:, 2], change[:, 2]]))
        kinetic = self.kinetic_energy(east[0], north[0])
        work = (east[0] * east[1] + north[0] * north[1]) / (1 - self.sphere.height.square())
        amount = depth * kinetic + 0.5 * (depth - rest).square()
        return Budget(self.sphere.mean(amount), self.sphere.mean(depth * work + (kinetic + depth - rest) * lost_depth))
