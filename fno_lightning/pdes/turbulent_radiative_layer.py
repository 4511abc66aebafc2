"""The turbulent radiative mixing layer of The Well."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.base import PDE, Trajectories
from fno_lightning.pdes.inputs import mixing_layer
from fno_lightning.pdes.solvers import EulerSolver, RadiativeCooling
from fno_lightning.pdes.solvers.euler import Primitive, frames, to_conserved, to_primitive

LOWER_EDGE = (-0.5, -1.0)
EXTENT = (1.0, 3.0)


@dataclass(frozen=True)
class TurbulentRadiativeLayer2D(PDE):
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
        ValueError: if a value is impossible: not positive, an empty or ambiguous list, fewer than 4 cells on an axis.

    Good values: 32 x 96 cells for a demonstration, 128 x 384 for The Well's resolution.
    """

    dataset_name: ClassVar[str] = "turbulent_radiative_layer_2D"
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
        if min(self.resolution) < 4:
            raise ValueError(f"resolution is {self.resolution}; give at least 4 cells along x and along y")
        if not self.cooling_times:
            raise ValueError("cooling_times is empty; give at least one, e.g. [0.1]")
        if self.n_frames < 1:
            raise ValueError(f"n_frames is {self.n_frames}, but a trajectory has at least one frame")
        for name in ("shear_velocity", "frame_velocity", "perturbation"):
            self._require(name, lower=-math.inf)
        for name in ("frame_interval", "layer_width", "perturbation_width", "cooling_width", "cooling_times"):
            self._require(name, lower=0.0)
        for name in ("gamma", "density_ratio"):
            self._require(name, lower=1.0)

    @property
    def settings(self) -> dict[str, Any]:
        """Every value that the trajectories depend on."""
        settings = asdict(self) | {"solver": "Euler, MUSCL-Hancock, HLLC, logistic cooling; version 1"}
        del settings["compile"]
        return settings

    @property
    def schema(self) -> Trajectories:
        """One trajectory without its values."""
        frames = torch.empty(1, self.n_frames, *self.resolution, device="meta")
        velocity = torch.empty(1, self.n_frames, *self.resolution, 2, device="meta")
        return self._trajectories(self.parameter_sets[0]["tcool"], frames, frames, velocity)

    def label(self, parameters: Mapping[str, float]) -> str:
        """Return the cooling time to two decimals, as The Well writes it."""
        return f"turbulent_radiative_layer_tcool_{parameters['tcool']:.2f}"

    def simulate_batch(
        self, parameters: Mapping[str, float], seeds: Sequence[int], device: str, report: Callable[[float], None]
    ) -> Trajectories:
        """Simulate one trajectory for each seed; see :meth:`PDE.simulate_batch`."""
        solver = self._solver(parameters["tcool"], len(seeds), device)
        start = to_conserved(self.initial_state(seeds, device), self.gamma)
        density = torch.empty(len(seeds), self.n_frames, *self.resolution)
        pressure = torch.empty_like(density)
        velocity = torch.empty(*density.shape, 2)
        for frame, state in enumerate(frames(solver, start, self.n_frames, self.frame_interval, seeds)):
            density[:, frame], velocity[:, frame, ..., 0], velocity[:, frame, ..., 1], pressure[:, frame] = (
                to_primitive(state, self.gamma)
            )
            report((frame + 1) / self.n_frames)
        return self._trajectories(parameters["tcool"], density, pressure, velocity)

    def initial_state(self, seeds: Sequence[int], device: str = "cpu") -> Primitive:
        """The seeded shear layer, ``(batch, x, y)``, seen from the rising frame."""
        x, y = (axis.to(device) for axis in self._cell_centres())
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
        return Primitive(*(field.to(self._dtype) for field in state))

    def _solver(self, cooling_time: float, n_trajectories: int, device: str) -> EulerSolver:
        cooling = RadiativeCooling(
            cooling_time=torch.full((n_trajectories, 1, 1), cooling_time, dtype=self._dtype, device=device),
            cold_temperature=1 / self.density_ratio,
            hot_temperature=1.0,
            width=self.cooling_width,
            gamma=self.gamma,
        )
        spacing = (EXTENT[0] / self.resolution[0], EXTENT[1] / self.resolution[1])
        return EulerSolver(spacing, ("periodic", "open"), self.gamma, source=cooling, compile=self.compile)

    def _trajectories(self, cooling_time: float, density: Tensor, pressure: Tensor, velocity: Tensor) -> Trajectories:
        x, y = self._cell_centres()
        return Trajectories(
            time=self.frame_interval * torch.arange(self.n_frames, dtype=torch.float32),
            coordinates={"x": x.float(), "y": y.float()},
            boundaries={"x": ("periodic", "periodic"), "y": ("open", "open")},
            scalars={"tcool": torch.tensor(cooling_time, dtype=torch.float32)},
            scalar_fields={"density": density, "pressure": pressure},
            vector_fields={"velocity": velocity},
        )

    def _cell_centres(self) -> list[Float[Tensor, " cells"]]:
        return [
            lower + extent / n_cells * (torch.arange(n_cells, dtype=torch.float64) + 0.5)
            for lower, extent, n_cells in zip(LOWER_EDGE, EXTENT, self.resolution, strict=True)
        ]

    @property
    def _dtype(self) -> torch.dtype:
        return torch.float64 if self.precision == "float64" else torch.float32

    def _require(self, name: str, lower: float) -> None:
        value = getattr(self, name)
        for number in value if isinstance(value, tuple) else (value,):
            if not lower < number < math.inf:
                raise ValueError(f"{name} is {value}, but it must be finite" + f" and above {lower:g}" * (lower >= 0))
