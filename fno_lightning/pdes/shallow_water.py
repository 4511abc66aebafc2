"""Rotating shallow water in a periodic box."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.base import Trajectories
from fno_lightning.pdes.equation import named
from fno_lightning.pdes.evolution import Frame
from fno_lightning.pdes.inputs import GaussianRandomField
from fno_lightning.pdes.pseudo_spectral import PseudoSpectralPDE, Spectrum
from fno_lightning.pdes.requirements import broken_seeds, require_not_negative, require_positive, require_resolution
from fno_lightning.pdes.solvers import Budget, PeriodicBox

COURANT_NUMBER = 0.5
"""Part of a cell that gravity waves on the flow cross in a time step."""

FASTEST_FLOW = 4.0
"""Speed, relative to the root mean square of the initial one, that the time step allows for."""

SMOOTHNESS = 8.0
"""Exponent of the initial stream function's random field."""


@dataclass(frozen=True)
class ShallowWater(PseudoSpectralPDE):
    r"""Vortices and waves in a shallow layer of water on an f-plane.

    .. math::
        \partial_t u + (\zeta + f)\, \hat z \times u + \nabla (g h + \tfrac12 |u|^2) = -\nu_4 \Delta^2 u, \quad
        \partial_t h + \nabla \cdot (h u) = -\nu_4 \Delta^2 h, \quad \zeta = \partial_x v - \partial_y u

    on the periodic square [0, 1]². Only a constant Coriolis parameter f is consistent with periodicity, so there is
    neither a β-plane nor a sphere here. Lengths are in units of the box; with the default g and mean depth H, times are
    in units of the box over the speed :math:`\sqrt{gH}` of gravity waves. The hyperviscosity takes up what turbulence
    carries to the smallest scales, and hardly touches the large ones; it keeps the mass, and spends energy.

    The initial state is in geostrophic balance: :math:`u = \hat z \times \nabla \psi` and :math:`h = H + f \psi / g`
    with a random stream function ψ (:class:`~fno_lightning.pdes.inputs.GaussianRandomField`). Where the flow is
    not slow against f, it adjusts, and radiates gravity waves.

    Solved by a Fourier-Galerkin method (2/3 rule) for velocity and :math:`g (h - H) / f`, with
    :class:`~fno_lightning.pdes.solvers.ETDRK4`; gravity waves are resolved in time. The budget is that of the total
    energy :math:`\tfrac12 h |u|^2 + \tfrac12 g h^2`.

    Scalar field: ``height`` h, ``(batch, time, x, y)``; vector field: ``velocity``, ``(batch, time, x, y, 2)``; scalar:
    ``coriolis_parameter``. The first frame is the initial state.

    Args:
        resolution: Grid points along x and y.
        coriolis_parameters: f > 0, one or several; there is a set of trajectories for each. Vortices are round and
            independent beyond the radius of deformation :math:`\sqrt{gH} / f`.
        n_frames: Stored frames of a trajectory.
        frame_interval: Time between two frames.
        gravity: g > 0.
        mean_depth: H > 0.
        speed: Root mean square of the initial velocity; its ratio to :math:`\sqrt{gH}` is the Froude number.
        scale: Wavelength about which the initial stream function has its energy, below 1.
        hyperviscosity: ν₄ >= 0.
        refinement: Points that are simulated for each that is stored, along each axis.
        precision: Floating-point type of the simulation; the frames are stored in float32 either way.

    Raises:
        ValueError: if a value is not positive, or ``hyperviscosity`` is negative.

    Good values: 128² points with ν₄ = 2e-9; 16 times as much for half as many points along each axis. With ``speed``
    0.2 and f = 10 the Froude number is 0.2, and the Rossby number of the vortices about 0.5.

    Reference: Vallis, Atmospheric and Oceanic Fluid Dynamics (2nd ed.), chapter 3; Polvani et al., Chaos 4 (1994).
    """

    dataset_name: ClassVar[str] = "shallow_water"
    parameter_arguments: ClassVar[Mapping[str, str]] = {"coriolis_parameter": "coriolis_parameters"}
    scalar_field_names: ClassVar[tuple[str, ...]] = ("height",)
    vector_field_names: ClassVar[tuple[str, ...]] = ("velocity",)
    max_tail: ClassVar[float] = 1e-3

    resolution: tuple[int, int] = (128, 128)
    coriolis_parameters: float | Sequence[float] = (2.0, 5.0, 10.0)
    n_frames: int = 101
    frame_interval: float = 0.1
    _: KW_ONLY
    gravity: float = 1.0
    mean_depth: float = 1.0
    speed: float = 0.2
    scale: float = 0.25
    hyperviscosity: float = 2e-9
    refinement: int = 1
    precision: Literal["float32", "float64"] = "float64"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_resolution(self.resolution, n_dims=2)
        require_positive(coriolis_parameters=self.coriolis_parameters)
        require_positive(gravity=self.gravity, mean_depth=self.mean_depth, speed=self.speed, scale=self.scale)
        require_not_negative(hyperviscosity=self.hyperviscosity)

    def simulate_batch(
        self, parameters: Mapping[str, float], seeds: Sequence[int], device: str, report: Callable[[float], None]
    ) -> Trajectories:
        """Simulate one trajectory for each seed; see :meth:`PDE.simulate_batch`.

        Raises:
            FloatingPointError: also if a stored height is not positive.
        """
        trajectories = super().simulate_batch(parameters, seeds, device, report)
        broken = broken_seeds((trajectories.scalar_fields["height"] > 0).flatten(1).all(dim=1), seeds)
        if broken:
            raise FloatingPointError(
                f"ShallowWater: the ground falls dry in the simulation of seeds {broken}; nothing of it is kept. "
                f"Choose a lower speed than {self.speed:g} or a lower Coriolis parameter"
            )
        return trajectories

    def state(self, fields: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> Tensor:
        """Stream function in geostrophic balance with the height, and velocity."""
        height, u, v = named(fields, ("height", "velocity_x", "velocity_y"), "fields")
        lift = (parameters["coriolis_parameter"] / self.gravity).view(-1, 1, 1)
        return torch.stack([(height - self.mean_depth) / lift, u, v], dim=1)

    @property
    def symmetries(self) -> Sequence[str]:
        """No place and no direction is special, but rotation has a sense, so that mirror images break it."""
        return ("shift", "rotate")

    def box(self, device: str = "cpu") -> PeriodicBox:
        """The square."""
        return PeriodicBox(self.simulated_resolution, (1.0, 1.0), dtype=self.dtype, device=device)

    def initial_state(self, seeds: Sequence[int], box: PeriodicBox) -> Float[Tensor, "batch channel *grid"]:
        """Stream function and velocity in geostrophic balance; the mean velocity is zero."""
        field = GaussianRandomField(alpha=SMOOTHNESS, tau=2 * math.pi / self.scale, sigma=1.0)
        stream = box.dealiasing * box.transform(field.sample(seeds, box.coordinates))
        d_x, d_y = box.derivatives
        state = torch.stack([stream, -d_y * stream, d_x * stream], dim=1)
        mean_square = box.inner(state[:, 1:], state[:, 1:]).sum(dim=1)
        return box.inverse(state * (self.speed * mean_square.rsqrt())[:, None, None, None])

    def linear(self, box: PeriodicBox, parameters: Mapping[str, float | Tensor]) -> Tensor:
        """Hyperviscosity."""
        return -self.hyperviscosity * box.laplacian.square()

    def nonlinear(self, box: PeriodicBox, parameters: Mapping[str, float | Tensor]) -> Callable[[Tensor], Tensor]:
        """Convergence of the volume flux; vortex and Coriolis force, gradient of pressure and kinetic energy."""
        f = parameters["coriolis_parameter"]
        depth = self.gravity * self.mean_depth / f
        d_x, d_y = box.derivatives

        def flow(spectrum: Tensor) -> Tensor:
            stream_hat, u_hat, v_hat = spectrum.unbind(dim=1)
            vorticity = d_x * v_hat - d_y * u_hat
            stream, u, v, zeta = box.inverse(box.dealiasing * torch.cat([spectrum, vorticity[:, None]], dim=1)).unbind(
                1
            )
            height, rotation = stream + depth, zeta + f
            products = [height * u, height * v, rotation * v, -rotation * u, 0.5 * (u * u + v * v)]
            flux_x, flux_y, force_x, force_y, energy = (
                box.dealiasing * box.transform(torch.stack(products, dim=1))
            ).unbind(dim=1)
            head = f * stream_hat + energy
            return torch.stack(
                [-d_x * flux_x - d_y * flux_y, force_x - d_x * head, force_y - d_y * head],
                dim=1,
            )

        return flow

    def longest_step(self, parameters: Mapping[str, float]) -> float:
        """Limit of the gravity waves on a fast flow."""
        spacing = 1 / max(self.simulated_resolution)
        return COURANT_NUMBER * spacing / (math.sqrt(self.gravity * self.mean_depth) + FASTEST_FLOW * self.speed)

    def frame(self, spectrum: Spectrum, box: PeriodicBox, parameters: Mapping[str, float]) -> Frame:
        """Height and velocity."""
        stream, u, v = box.inverse(spectrum).unbind(dim=1)
        height = self.mean_depth + parameters["coriolis_parameter"] / self.gravity * stream
        return Frame({"height": height}, {"velocity": torch.stack([u, v], dim=-1)})

    def budget(self, spectrum: Spectrum, box: PeriodicBox, parameters: Mapping[str, float]) -> Budget:
        """Total energy per area less that of the water at rest, and what the hyperviscosity takes from it."""
        lift = parameters["coriolis_parameter"] / self.gravity
        damping = self.linear(box, parameters) * spectrum
        stream, u, v, d_stream, d_u, d_v = box.inverse(torch.cat([spectrum, damping], dim=1)).unbind(dim=1)
        height, speed_squared = self.mean_depth + lift * stream, u * u + v * v
        energy = 0.5 * (height * speed_squared + self.gravity * (lift * stream).square())
        rate = height * (u * d_u + v * d_v) + (0.5 * speed_squared + self.gravity * lift * stream) * lift * d_stream
        return Budget(energy.mean(dim=(1, 2)), rate.mean(dim=(1, 2)))
