"""The turbulent radiative mixing layer of The Well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from fno_lightning.pdes.compressible import CompressiblePDE
from fno_lightning.pdes.equation import named
from fno_lightning.pdes.evolution import Frame
from fno_lightning.pdes.inputs import mixing_layer
from fno_lightning.pdes.requirements import require_above, require_finite, require_positive
from fno_lightning.pdes.solvers import EulerSolver, RadiativeCooling
from fno_lightning.pdes.solvers.euler import Boundary, Conserved, Primitive, to_conserved, to_primitive

LOWER_EDGE = (-0.5, -1.0)
EXTENT = (1.0, 3.0)


@dataclass(frozen=True)
class TurbulentRadiativeLayer2D(CompressiblePDE):
    r"""Cold dense gas below hot dilute gas in shear; where turbulence mixes the two, the gas cools.

    .. math::
        \partial_t U + \nabla \cdot F(U) = -\dot e_{cool}(\rho, T; t_{cool}),

    the compressible Euler equations (:class:`~fno_lightning.pdes.solvers.EulerSolver`) with
    :class:`~fno_lightning.pdes.solvers.RadiativeCooling`, on x in [-0.5, 0.5] (periodic) and y in [-1, 2] (open: zero
    gradient). Initially the pressure is 1, the hot gas (y > 0) has density 1 and the cold gas ``density_ratio``; their
    velocities along x differ by ``shear_velocity``. Lengths are in units of the width of the box, times in units of
    that width over the isothermal sound speed of the hot gas.

    Trajectories have the layout, the regime and the parameters of The Well's ``turbulent_radiative_layer_2D`` (Ohana et
    al., NeurIPS 2024; Fielding et al., ApJL 894, L24, 2020). They are not that data set, whose initial perturbations
    and cooling curve are not published in full.

    Scalar fields: ``density`` and ``pressure``, ``(batch, time, x, y)``; vector field: ``velocity``,
    ``(batch, time, x, y, 2)``; scalar: ``tcool``. The first frame is the initial state.

    Args:
        resolution: Number of cells along x and y; square cells need three times as many along y.
        cooling_times: t_cool, one or several; there is a set of trajectories for each, whose name keeps two decimals.
        n_frames: Stored frames of a trajectory.
        frame_interval: Time between two frames.
        gamma: Ratio of specific heats γ.
        density_ratio: Density of the cold gas over that of the hot gas.
        shear_velocity: Difference of the velocities of hot and cold gas along x.
        frame_velocity: Velocity of the frame along y. The cooling layer draws in gas from both sides and rises with the
            cold gas; in a frame that rises as well it stays in the box.
        layer_width: Width δ of the initial transition tanh(y / δ).
        perturbation: Root mean square of the initial velocity along y at the interface.
        perturbation_width: Distance in y over which the perturbation falls off.
        cooling_width: Width of the cooling curve in the logarithm of the temperature.
        precision: Floating-point type of the simulation; the frames are stored in float32 either way.
        compile: Whether to compile the time step; does not change the trajectories beyond round-off.

    Raises:
        ValueError: if a value is impossible: not positive, an empty list, fewer than 4 cells on an axis.

    Good values: 32 x 96 cells for a demonstration, 128 x 384 for The Well's resolution.
    """

    dataset_name: ClassVar[str] = "turbulent_radiative_layer_2D"
    solver: ClassVar[str] = "Euler, MUSCL-Hancock, HLLC, logistic cooling; version 1"
    scalar_field_names: ClassVar[tuple[str, ...]] = ("density", "pressure")
    vector_field_names: ClassVar[tuple[str, ...]] = ("velocity",)
    parameter_arguments: ClassVar[Mapping[str, str]] = {"tcool": "cooling_times"}

    resolution: tuple[int, int] = (128, 384)
    cooling_times: float | Sequence[float] = (0.03, 0.06, 0.10, 0.18, 0.32, 0.56, 1.00, 1.78, 3.16)
    n_frames: int = 101
    frame_interval: float = 1.597033
    _: KW_ONLY
    gamma: float = 5 / 3
    density_ratio: float = 100.0
    shear_velocity: float = 0.075
    frame_velocity: float = 0.0033
    layer_width: float = 0.02
    perturbation: float = 0.01
    perturbation_width: float = 0.1
    cooling_width: float = 0.8
    precision: Literal["float32", "float64"] = "float32"
    compile: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(cooling_times=self.cooling_times, cooling_width=self.cooling_width)
        require_positive(layer_width=self.layer_width, perturbation_width=self.perturbation_width)
        require_above(1.0, gamma=self.gamma, density_ratio=self.density_ratio)
        require_finite(shear_velocity=self.shear_velocity, frame_velocity=self.frame_velocity)
        require_finite(perturbation=self.perturbation)

    @property
    def cell_centres(self) -> Mapping[str, Tensor]:
        """Centres of the cells of the box."""
        return {
            name: lower + extent / n_cells * (torch.arange(n_cells, dtype=torch.float64) + 0.5)
            for name, lower, extent, n_cells in zip("xy", LOWER_EDGE, EXTENT, self.resolution, strict=True)
        }

    @property
    def sides(self) -> tuple[Boundary, Boundary]:
        """Periodic along the layer, open across it."""
        return "periodic", "open"

    @property
    def symmetries(self) -> Sequence[str]:
        """Nothing is special along the layer; the gases have their sides."""
        return ("shift_x", "flip_x")

    def label(self, parameters: Mapping[str, float]) -> str:
        """Return the cooling time to two decimals, as The Well writes it."""
        return f"turbulent_radiative_layer_tcool_{parameters['tcool']:.2f}"

    def euler_solver(self, parameters: Mapping[str, float], n_trajectories: int, device: str) -> EulerSolver:
        """Return the solver with the cooling as its source; see :meth:`CompressiblePDE.euler_solver`."""
        cooling = RadiativeCooling(
            cooling_time=torch.full((n_trajectories, 1, 1), parameters["tcool"], dtype=self.dtype, device=device),
            cold_temperature=1 / self.density_ratio,
            hot_temperature=1.0,
            width=self.cooling_width,
            gamma=self.gamma,
        )
        spacing = (EXTENT[0] / self.resolution[0], EXTENT[1] / self.resolution[1])
        return EulerSolver(spacing, self.sides, self.gamma, source=cooling, compile=self.compile)

    def state(self, fields: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> Tensor:
        """Return mass, momentum and energy of density, velocity and pressure."""
        primitive = Primitive(*named(fields, ("density", "velocity_x", "velocity_y", "pressure"), "fields"))
        return torch.stack(to_conserved(primitive, self.gamma), dim=1)

    def start(self, parameters: Mapping[str, float], seeds: Sequence[int], device: str) -> Conserved:
        """Return the shear layer of each seed; see :meth:`CompressiblePDE.start`."""
        return to_conserved(self.initial_state(seeds, device), self.gamma)

    def frame(self, state: Conserved, gamma: float) -> Frame:
        """Return density, pressure and velocity."""
        density, velocity_x, velocity_y, pressure = to_primitive(state, gamma)
        velocity = torch.stack([velocity_x, velocity_y], dim=-1)
        return Frame({"density": density, "pressure": pressure}, {"velocity": velocity})

    def initial_state(self, seeds: Sequence[int], device: str = "cpu") -> Primitive:
        """Return the seeded shear layer, ``(batch, x, y)``, seen from the rising frame."""
        x, y = (axis.to(device) for axis in self.cell_centres.values())
        state = mixing_layer(
            x,
            y,
            seeds,
            density_ratio=self.density_ratio,
            shear_velocity=self.shear_velocity,
            width=self.layer_width,
            perturbation=self.perturbation,
            perturbation_width=self.perturbation_width,
        )
        state = state._replace(velocity_y=state.velocity_y - self.frame_velocity)
        return Primitive(*(field.to(self.dtype) for field in state))
