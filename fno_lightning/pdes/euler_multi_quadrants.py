"""The two-dimensional Riemann problems of The Well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from fno_lightning.pdes.compressible import CompressiblePDE
from fno_lightning.pdes.equation import named
from fno_lightning.pdes.evolution import Frame
from fno_lightning.pdes.inputs import Quadrants
from fno_lightning.pdes.requirements import (
    require_above,
    require_positive,
    require_range,
)
from fno_lightning.pdes.solvers import EulerSolver, cell_centres, cell_spacing
from fno_lightning.pdes.solvers.euler import Boundary, Conserved, to_primitive

GASES = {
    1.13: "C3H8_16",
    1.22: "C2H6_15",
    1.3: "CO2_20",
    1.33: "H2O_20",
    1.365: "Dry_air_1000",
    1.4: "Dry_air_20",
    1.404: "H2_100_Dry_air_-15",
    1.453: "H2_-76",
    1.597: "H2_-181",
    1.76: "Ar_-180",
}
"""The Well's ratios of specific heats, and the gases in degrees Celsius that have them."""


@dataclass(frozen=True)
class EulerMultiQuadrants(CompressiblePDE):
    r"""Shocks, rarefactions and vortices that start from rectangles of gas in different states.

    .. math:: \partial_t U + \nabla \cdot F(U) = 0

    the compressible Euler equations of an ideal gas (:class:`~fno_lightning.pdes.solvers.EulerSolver`) on the unit
    square, from random :class:`~fno_lightning.pdes.inputs.Quadrants`. Dimensionless: with density and pressure of
    about 1, sound crosses the square in a time of about 1. The two data sets of The Well with periodic and with open
    (zero gradient) boundaries are :class:`EulerMultiQuadrantsPeriodicBC` and :class:`EulerMultiQuadrantsOpenBC`.

    Trajectories have the layout and the gases of The Well's ``euler_multi_quadrants_*`` (Ohana et al., NeurIPS 2024).
    The states of its rectangles are not published; the ranges here give about its means, and its standard deviations
    of density and momentum.

    Scalar fields: ``energy`` per volume, ``density`` and ``pressure``, ``(batch, time, x, y)``, averages over cells;
    vector field: ``momentum`` per volume, ``(batch, time, x, y, 2)``; scalar: ``gamma``. The first frame is the initial
    state. Where nothing can leave, mass, momentum and energy must stay to round-off.

    Args:
        resolution: Number of cells along x and y.
        gammas: Ratios of specific heats γ > 1, one or several; there is a set of trajectories for each.
        n_frames: Stored frames of a trajectory.
        frame_interval: Time between two frames.
        interfaces: Least and greatest number of interfaces across each axis, where the states change; periodic ones are
            at least 2.
        density: Range of the densities.
        pressure: Range of the pressures.
        speed: Greatest initial velocity along x and y.
        precision: Floating-point type of the simulation; the frames are stored in float32 either way.
        compile: Whether to compile the time step; does not change the trajectories beyond round-off.

    Raises:
        ValueError: if a value is impossible: not positive, an empty list, a wrong range.

    Good values: 64² cells for a demonstration, 512² for The Well's resolution.

    Reference: Lax and Liu, SIAM J. Sci. Comput. 19 (1998), section 3, whose problems have one interface on each axis.
    """

    boundary: ClassVar[Literal["periodic", "open"]]
    """Condition on all sides."""
    parameter_arguments: ClassVar[Mapping[str, str]] = {"gamma": "gammas"}
    solver: ClassVar[str] = "Euler, MUSCL-Hancock, HLLC; version 1"
    scalar_field_names: ClassVar[tuple[str, ...]] = ("energy", "density", "pressure")
    vector_field_names: ClassVar[tuple[str, ...]] = ("momentum",)

    resolution: tuple[int, int] = (512, 512)
    gammas: float | Sequence[float] = tuple(GASES)
    n_frames: int = 101
    frame_interval: float = 0.015
    _: KW_ONLY
    interfaces: tuple[int, int] = (2, 4)
    density: tuple[float, float] = (0.1, 1.8)
    pressure: tuple[float, float] = (0.1, 1.8)
    speed: float = 0.75
    precision: Literal["float32", "float64"] = "float64"
    compile: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(speed=self.speed)
        require_positive(density=self.density, pressure=self.pressure)
        require_range(density=self.density, pressure=self.pressure)
        fewest = 2 if self.boundary == "periodic" else 1
        if not fewest <= self.interfaces[0] <= self.interfaces[1]:
            raise ValueError(
                f"interfaces is {self.interfaces}, expected (least, greatest), the least at least {fewest}"
            )
        require_above(1.0, gammas=self.gammas)

    @property
    def cell_centres(self) -> Mapping[str, Tensor]:
        """Centres of the cells of the unit square."""
        return cell_centres(self.resolution)

    @property
    def sides(self) -> tuple[Boundary, Boundary]:
        """The same condition on all sides."""
        return self.boundary, self.boundary

    @property
    def symmetries(self) -> Sequence[str]:
        """No place and no direction is special; open sides have their place."""
        return ("flip", "rotate") if self.boundary == "open" else ("shift", "flip", "rotate")

    def label(self, parameters: Mapping[str, float]) -> str:
        """Return the ratio of specific heats with the name of its gas, as in The Well."""
        gamma = parameters["gamma"]
        gas = f"_{GASES[gamma]}" if gamma in GASES else ""
        return f"{self.dataset_name}_gamma_{gamma:g}{gas}"

    def euler_solver(self, parameters: Mapping[str, float], n_trajectories: int, device: str) -> EulerSolver:
        """Return the solver for one gas; see :meth:`CompressiblePDE.euler_solver`."""
        return EulerSolver(cell_spacing(self.resolution), self.sides, parameters["gamma"], compile=self.compile)

    def state(self, fields: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> Tensor:
        """Return mass, momentum and energy; the pressure follows from them."""
        return torch.stack(named(fields, ("density", "momentum_x", "momentum_y", "energy"), "fields"), dim=1)

    def start(self, parameters: Mapping[str, float], seeds: Sequence[int], device: str) -> Conserved:
        """Return the quadrants of each seed; see :meth:`CompressiblePDE.start`."""
        return self.initial_state(seeds, parameters["gamma"], device)

    def frame(self, state: Conserved, gamma: float) -> Frame:
        """Return energy, density, pressure and momentum."""
        pressure = to_primitive(state, gamma).pressure
        momentum = torch.stack([state.momentum_x, state.momentum_y], dim=-1)
        return Frame({"energy": state.energy, "density": state.density, "pressure": pressure}, {"momentum": momentum})

    def initial_state(self, seeds: Sequence[int], gamma: float, device: str = "cpu") -> Conserved:
        """Return the quadrants, averaged over cells, ``(batch, x, y)``.

        Args:
            seeds: Seed of each trajectory.
            gamma: Ratio of specific heats.
            device: Device of the state.
        """
        quadrants = Quadrants(self.interfaces, self.density, self.pressure, self.speed, self.boundary == "periodic")
        state = quadrants.sample(seeds, self.resolution, gamma)
        return Conserved(*(field.to(device=device, dtype=self.dtype) for field in state))


@dataclass(frozen=True)
class EulerMultiQuadrantsPeriodicBC(EulerMultiQuadrants):
    """Rectangles of gas on a periodic square; see :class:`EulerMultiQuadrants`."""

    dataset_name: ClassVar[str] = "euler_multi_quadrants_periodicBC"
    boundary: ClassVar[Literal["periodic", "open"]] = "periodic"


@dataclass(frozen=True)
class EulerMultiQuadrantsOpenBC(EulerMultiQuadrants):
    """Rectangles of gas on a square with open sides; see :class:`EulerMultiQuadrants`."""

    dataset_name: ClassVar[str] = "euler_multi_quadrants_openBC"
    boundary: ClassVar[Literal["periodic", "open"]] = "open"
