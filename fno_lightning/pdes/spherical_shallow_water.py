"""Shallow water on a rotating planet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Complex
from torch import Tensor

from fno_lightning.pdes.evolution import EvolutionPDE, Frame
from fno_lightning.pdes.requirements import (
    broken_seeds,
    require_at_least,
    require_not_negative,
    require_positive,
    require_resolution,
)
from fno_lightning.pdes.solvers import BudgetAccount, EqualSteps, RotatingLayer, Sphere
from fno_lightning.sphere import colatitudes

RADIUS = 6.37122e6
"""Of the Earth, in m."""
ROTATION = 7.292e-5 * 3600
"""Of the Earth, in 1/h."""
GRAVITY = 9.80616 * 3600**2 / RADIUS
"""In radii / h²."""
METRES_PER_SECOND = 3600 / RADIUS
"""In radii / h."""

COURANT_NUMBER = 1.5
"""Phase of the shortest gravity waves on a fast flow, in radians, that a time step takes."""
FASTEST_FLOW = 4.0
"""Speed, relative to the root mean square of the initial one, that the time step allows for."""
N_DRAWN = 32
"""Degrees of the initial stream function, which are drawn whatever the truncation."""
WIDTH = 2.0
"""Standard deviation of the degrees about the main one."""
MAX_TAIL = 1e-3
"""Largest share of the enstrophy in the highest tenth of the degrees."""
BUDGET_TOLERANCE = 1e-3
"""Largest error of the energy's budget, relative to the energy and all that was gained and lost."""


@dataclass(frozen=True)
class SphericalShallowWater(EvolutionPDE):
    r"""Vortices, jets and waves in a shallow layer of water on a planet of the Earth's size and rotation.

    .. math::
        \partial_t u + (\zeta + f)\, \hat k \times u + \nabla (g h + \tfrac12 |u|^2) = -\nu \Delta^2 u, \quad
        \partial_t h + \nabla \cdot (h u) = -\nu \Delta^2 h, \quad f = 2 \Omega \cos\theta

    without topography and forcing: what is drawn at the start decays freely. Grid, fields and units are those of
    planetswe of The Well, which has topography, a daily and a seasonal forcing and starts from the weather; the same
    schema, not the same data.

    The initial state is a random stream function, whose kinetic energy lies about one degree, in balance: the height is
    such that there is no divergence and none arises at first. Then ``warm_up`` hours pass.

    Solved in spectral space for vorticity, divergence and geopotential (:class:`~fno_lightning.pdes.solvers.Sphere`,
    :class:`~fno_lightning.pdes.solvers.RotatingLayer`), products free of aliasing errors, with
    :class:`~fno_lightning.pdes.solvers.ETDRK4`; gravity waves are resolved in time. The budget is that of the energy.

    Scalar field: ``height``, the deviation from the mean depth, in m, ``(batch, time, theta, phi)``; vector field:
    ``velocity``, southward and eastward, in m/s, ``(batch, time, theta, phi, 2)``. Axes are the colatitude θ, at the
    centres of equal cells from the north pole on, and the longitude φ, in radians; times are in hours.

    Args:
        resolution: Points along θ and φ.
        n_frames: Stored frames of a trajectory.
        frame_interval: Hours between two frames.
        truncation: Highest degree of the simulation; ``None``: as high as the points along θ resolve without aliasing
            errors, (2 n - 1) / 3, such as T42 for 64 points. The simulation does not depend on the points else.
        mean_depth: Mean depth of the water in m.
        speed: Root mean square of the initial velocity in m/s.
        degree: Degree about which the initial stream function has its energy.
        damping_time: Hours in which the hyperdiffusion damps the highest degree to 1/e; the others more slowly by the
            square of l (l + 1).
        warm_up: Hours before the first frame.
        precision: Floating-point type of the simulation; the frames are stored in float32 either way.

    Raises:
        ValueError: if a value is not positive, or ``degree`` is not resolved or above 26.

    Good values: 32 x 64 points (T21) with ``degree`` 5, 64 x 128 (T42) and more with 6 to 10.

    Reference: Williamson et al., J. Comput. Phys. 102 (1992); Galewsky et al., Tellus A 56 (2004), the checks of the
    solver; McCabe et al. 2023 (planetswe).
    """

    dataset_name: ClassVar[str] = "planetswe"
    grid_type: ClassVar[str] = "equiangular"
    scalar_field_names: ClassVar[tuple[str, ...]] = ("height",)
    vector_field_names: ClassVar[tuple[str, ...]] = ("velocity",)

    resolution: tuple[int, int] = (64, 128)
    n_frames: int = 121
    frame_interval: float = 1.0
    _: KW_ONLY
    truncation: int | None = None
    mean_depth: float = 5960.0
    speed: float = 20.0
    degree: int = 6
    damping_time: float = 4.0
    warm_up: float = 24.0
    precision: Literal["float32", "float64"] = "float64"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_resolution(self.resolution, n_dims=2)
        require_positive(mean_depth=self.mean_depth, speed=self.speed, damping_time=self.damping_time)
        require_not_negative(warm_up=self.warm_up)
        require_at_least(1, degree=self.degree)
        require_at_least(2, truncation=self.simulated_truncation)
        highest = min(self.simulated_truncation, N_DRAWN - 1) - math.ceil(2 * WIDTH)
        if self.degree > max(1, highest):
            raise ValueError(
                f"degree is {self.degree}, but with the truncation {self.simulated_truncation} initial states have "
                f"their energy about degree {highest} at most"
            )

    @property
    def simulated_truncation(self) -> int:
        """Highest degree of the simulation."""
        return (2 * self.resolution[0] - 1) // 3 if self.truncation is None else self.truncation

    def at_resolution(self, resolution: Sequence[int]) -> SphericalShallowWater:
        """Return the same equation stored on another grid: the simulation stays the same."""
        return self._changed(resolution=tuple(resolution), truncation=self.simulated_truncation)  # type: ignore[return-value]

    @property
    def symmetries(self) -> Sequence[str]:
        """No longitude is special."""
        return ("shift_phi",)

    @property
    def grid(self) -> Mapping[str, Tensor]:
        """Colatitude and longitude of the stored points."""
        n_theta, n_phi = self.resolution
        longitude = torch.arange(n_phi, dtype=torch.float64) * (2 * math.pi / n_phi)
        return {"theta": colatitudes("equiangular", n_theta).float(), "phi": longitude.float()}

    @property
    def boundaries(self) -> Mapping[str, tuple[str, str]]:
        """Open at the poles, as planetswe's files say."""
        return {"theta": ("open", "open"), "phi": ("periodic", "periodic")}

    def frames(self, parameters: Mapping[str, float], seeds: Sequence[int], device: str) -> Iterator[Frame]:
        """Yield the frames of a batch of trajectories; see :meth:`EvolutionPDE.frames`.

        Raises:
            FloatingPointError: if a solution stops being finite, the ground falls dry, the energy's budget does not
                close or the truncation does not resolve the vorticity; names the seeds.
        """
        layer = self.layer(device)
        run = _Run(self, layer, self.initial_state(seeds, layer))
        run.advance(self.warm_up)
        for number in range(self.n_frames):
            if number > 0:
                run.advance(self.frame_interval)
            time = self.warm_up + number * self.frame_interval
            self._require(run.state.isfinite().flatten(1).all(dim=1), seeds, f"is not finite at {time:.4g} h")
            is_wet = layer.sphere.synthesis(run.state[:, 2]).flatten(1).amin(dim=1) > 0
            self._require(is_wet, seeds, f"falls dry at {time:.4g} h")
            yield self.frame(run.state, layer.sphere)
        self._require(run.account.imbalance <= BUDGET_TOLERANCE, seeds, "does not close the budget of energy")
        enstrophy = layer.sphere.mean_square(run.state[:, 0])
        tail = enstrophy[:, math.ceil(0.9 * self.simulated_truncation) :].sum(dim=1) / enstrophy.sum(dim=1)
        self._require(tail <= MAX_TAIL, seeds, f"is not resolved by the truncation {self.simulated_truncation}")

    def layer(self, device: str = "cpu") -> RotatingLayer:
        """Return the equations on the grid of the simulation, in radii and hours."""
        sphere = Sphere(self.simulated_truncation, self.dtype, device)
        return RotatingLayer(sphere, (2 * ROTATION * sphere.height).expand(sphere.grid))

    def initial_state(self, seeds: Sequence[int], layer: RotatingLayer) -> Complex[Tensor, "batch 3 degree order"]:
        """Return balanced random states; a seed means the same functions with every truncation."""
        sphere = layer.sphere
        drawn = torch.stack(
            [
                torch.randn(2, N_DRAWN, N_DRAWN, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
                for seed in seeds
            ]
        )
        degree, order = (torch.arange(N_DRAWN, dtype=torch.float64).view(shape) for shape in ((-1, 1), (1, -1)))
        share = torch.exp(-((degree - self.degree) ** 2) / (4 * WIDTH**2))  # square root of that of the energy
        drawn = drawn * share * ((degree >= order) & (degree > 0)) * ((degree + 1) * degree / (2 * degree + 1)).sqrt()
        drawn[:, 1, :, 0] = 0
        vorticity = drawn.new_zeros(len(seeds), sphere.truncation + 1, sphere.truncation + 1, dtype=torch.complex128)
        n = min(N_DRAWN, sphere.truncation + 1)
        vorticity[:, :n, :n] = torch.complex(drawn[:, 0], drawn[:, 1])[:, :n, :n]
        vorticity = vorticity.to(sphere.device, self.dtype.to_complex())
        square = (sphere.mean_square(vorticity) * -sphere.inverse_laplacian[:, 0]).sum(dim=-1)
        state = layer.balanced(vorticity * (self.speed * METRES_PER_SECOND * square.rsqrt())[:, None, None])
        state[:, 2, 0, 0] = GRAVITY * self.mean_depth / RADIUS
        return state

    def frame(self, state: Complex[Tensor, "batch 3 degree order"], sphere: Sphere) -> Frame:
        """Height and velocity at the stored points."""
        potentials = state[:, :2] * sphere.inverse_laplacian
        height = sphere.at("equiangular", self.resolution, state[:, 2]) * (RADIUS / GRAVITY) - self.mean_depth
        south, east = sphere.gradients_at("equiangular", self.resolution, potentials)
        components = [south[:, 1] - east[:, 0], east[:, 1] + south[:, 0]]
        return Frame({"height": height}, {"velocity": torch.stack(components, dim=-1) / METRES_PER_SECOND})

    def _require(self, kept: Tensor, seeds: Sequence[int], fault: str) -> None:
        if broken := broken_seeds(kept, seeds):
            raise FloatingPointError(
                f"{type(self).__name__}: the simulation of seeds {broken} {fault}; nothing of it is kept. Choose a "
                "finer grid (or truncation), a lower speed or a shorter damping_time"
            )


class _Run:
    """A batch of trajectories on their way, and the account of their energy."""

    def __init__(self, pde: SphericalShallowWater, layer: RotatingLayer, state: Tensor) -> None:
        self.state = state
        highest = layer.sphere.truncation * (layer.sphere.truncation + 1)
        self._damping = -(layer.sphere.laplacian / highest).square() / pde.damping_time
        self._layer = layer
        self._rest = GRAVITY * pde.mean_depth / RADIUS
        flow = math.sqrt(self._rest) + FASTEST_FLOW * pde.speed * METRES_PER_SECOND
        self._steps = EqualSteps(self._damping, layer.rate, COURANT_NUMBER / (layer.sphere.truncation * flow))
        self.account = BudgetAccount(self._budget())

    def _budget(self) -> Any:
        return self._layer.energy(self.state, self._damping, self._rest)

    def advance(self, duration: float) -> None:
        """Advance by equal steps, none longer than allowed."""
        for state, dt in self._steps.states(self.state, duration):
            self.state = state
            self.account.add(self._budget(), dt)
