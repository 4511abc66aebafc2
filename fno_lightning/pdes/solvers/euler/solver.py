"""Marching the Euler equations in time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, wraps
from typing import ParamSpec, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

from fno_lightning.pdes.solvers.euler.boundary import Boundary, with_ghost_cells
from fno_lightning.pdes.solvers.euler.fluxes import face_fluxes
from fno_lightning.pdes.solvers.euler.state import Conserved, Primitive, sound_speed, to_primitive

P = ParamSpec("P")
R = TypeVar("R")

_logger = logging.getLogger(__name__)


def compiled(function: Callable[P, R], n_threads: int) -> Callable[P, R]:
    """Compile a tensor function at its first call; without a working compiler it runs eagerly.

    The reason is logged as a warning, once for each process.

    Args:
        function: What to compile, in one graph and for the shapes that it meets.
        n_threads: Threads of the compiled function on a CPU.
    """
    fast: Callable[P, R] = torch.compile(function, fullgraph=True, dynamic=False, options={"cpp.threads": n_threads})

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal fast
        try:
            return fast(*args, **kwargs)
        except (TorchDynamoException, FailOnRecompileLimitHit) as error:
            fast = function
            _warn_eager(str(error).strip().splitlines()[0])
            return function(*args, **kwargs)

    return call


@cache
def _warn_eager(reason: str) -> None:
    _logger.warning("torch.compile failed, so the simulation runs eagerly and many times slower: %s", reason)


@runtime_checkable
class Source(Protocol):
    """What is added to the energy of every cell on its own."""

    def __call__(self, state: Conserved, dt: Tensor) -> Conserved:
        """Advance the state by the time step of its trajectory, ``(batch, 1, 1)``."""

    def rate(self, state: Conserved) -> Tensor:
        """Return the rate of change of the energy."""


Step = Callable[[Conserved, Tensor], tuple[Conserved, Tensor]]
"""Take a state and each trajectory's remaining time, ``(batch, 1, 1)``, one time step further."""

MIN_CELLS_PER_THREAD = 24_000
"""Threads that share less work wait for each other longer than they compute, above all on a busy machine."""


class UnphysicalStateError(FloatingPointError):
    """A density or pressure is no longer positive and finite.

    Attributes:
        trajectories: Indices of the trajectories in the batch.
    """

    def __init__(self, trajectories: list[int], advice: str) -> None:
        super().__init__(f"density or pressure is no longer positive and finite; {advice}")
        self.trajectories = trajectories


@dataclass(frozen=True)
class EulerSolver:
    r"""Compressible Euler equations of an ideal gas on a uniform Cartesian grid in two dimensions.

    .. math::
        \partial_t \begin{pmatrix} \rho \\ \rho u \\ \rho v \\ E \end{pmatrix} +
        \partial_x \begin{pmatrix} \rho u \\ \rho u^2 + p \\ \rho u v \\ (E + p) u \end{pmatrix} +
        \partial_y \begin{pmatrix} \rho v \\ \rho u v \\ \rho v^2 + p \\ (E + p) v \end{pmatrix} = S

    Unsplit finite volumes, second order in space and time: MUSCL-Hancock with the monotonized central limiter and the
    HLLC flux; the source S follows each step (Godunov splitting). It evaluates the fluxes once a step where a two-stage
    Runge-Kutta method does so twice, and its error on a vortex is smaller. Every trajectory of a batch has a time step
    of its own, so that it does not depend on the others.

    Args:
        spacing: Cell size along x and y.
        boundaries: Conditions along x and along y; an axis of one cell must be open.
        gamma: Ratio of specific heats γ.
        cfl: Courant number, the sum over both axes of what the fastest wave crosses of a cell in one step; at most 1.
        source: What a step adds to the equations, cell by cell.
        compile: Whether to compile the step, at the first one.

    Raises:
        ValueError: if ``cfl`` is out of range.
    """

    spacing: tuple[float, float]
    boundaries: tuple[Boundary, Boundary]
    gamma: float = 5 / 3
    cfl: float = 0.8
    source: Source | None = None
    compile: bool = True
    _compiled_steps: dict[int, Step] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.cfl <= 1:
            raise ValueError(f"cfl is {self.cfl}, but the method is stable for Courant numbers above 0 and up to 1")

    def advance(self, state: Conserved, duration: float) -> Conserved:
        """Advance all trajectories by the same time, the last step of each cut to arrive exactly.

        Raises:
            UnphysicalStateError: if a density or pressure stops being positive and finite, or the time step vanishes.
        """
        step = self._fast_step(state.density.numel())
        remaining = torch.full_like(state.density[:, :1, :1], duration)
        while True:
            dt = self.time_step(to_primitive(state, self.gamma))
            self._raise_if_broken(state, dt, duration)
            n_steps = int(torch.ceil(remaining / dt).amax())
            if n_steps == 0:
                return state
            for _ in range(n_steps):
                state, remaining = step(state, remaining)

    def step(
        self, state: Conserved, remaining: Float[Tensor, "batch 1 1"]
    ) -> tuple[Conserved, Float[Tensor, "batch 1 1"]]:
        """Take the longest stable step, but none longer than the remaining time of the trajectory.

        Returns:
            The new state and the time that then remains.
        """
        primitive = to_primitive(state, self.gamma)
        dt = torch.minimum(self.time_step(primitive), remaining)
        state = self._convected(state, primitive, dt)
        return (state if self.source is None else self.source(state, dt)), remaining - dt

    def rate(self, state: Conserved) -> Conserved:
        """Return the rate of change of a state: what flows in through the faces of each cell, and the source.

        It is the limit of a step that vanishes, differentiable by the state.
        """
        dx, dy = self.spacing
        flux_x, flux_y = self._fluxes(to_primitive(state, self.gamma), torch.zeros_like(state.density[:, :1, :1]))
        rates = [-f.diff(dim=1) / dx - g.diff(dim=2) / dy for f, g in zip(flux_x, flux_y, strict=True)]
        if self.source is not None:
            rates[3] = rates[3] + self.source.rate(state)
        return Conserved(*rates)

    def time_step(self, state: Primitive) -> Float[Tensor, "batch 1 1"]:
        """Return the longest stable time step of each trajectory."""
        dx, dy = self.spacing
        sound = sound_speed(state, self.gamma)
        rate = (state.velocity_x.abs() + sound) / dx + (state.velocity_y.abs() + sound) / dy
        return self.cfl / rate.amax(dim=(1, 2), keepdim=True)

    def _fast_step(self, n_cells: int) -> Step:
        if not self.compile:
            return self.step
        n_threads = min(torch.get_num_threads(), max(1, n_cells // MIN_CELLS_PER_THREAD))
        return self._compiled_steps.setdefault(n_threads, compiled(self.step, n_threads))

    def _fluxes(self, primitive: Primitive, dt: Tensor) -> tuple[Conserved, Conserved]:
        """Return the mean fluxes of a time step through the faces across x and across y."""
        return face_fluxes(with_ghost_cells(primitive, self.boundaries), dt, self.spacing, self.gamma)

    def _convected(self, state: Conserved, primitive: Primitive, dt: Tensor) -> Conserved:
        dx, dy = self.spacing
        flux_x, flux_y = self._fluxes(primitive, dt)
        return Conserved(
            *(
                u - dt / dx * (f[:, 1:] - f[:, :-1]) - dt / dy * (g[:, :, 1:] - g[:, :, :-1])
                for u, f, g in zip(state, flux_x, flux_y, strict=True)
            )
        )

    def _raise_if_broken(self, state: Conserved, dt: Tensor, duration: float) -> None:
        clock_resolution = torch.finfo(dt.dtype).eps * duration
        cells_fine = (state.density > 0) & (to_primitive(state, self.gamma).pressure > 0)
        fine = cells_fine.all(dim=2).all(dim=1) & (dt[:, 0, 0] > clock_resolution)
        if not bool(fine.all()):
            broken = (~fine).nonzero()[:, 0].tolist()
            raise UnphysicalStateError(broken, f"a smaller Courant number than {self.cfl} may help")
