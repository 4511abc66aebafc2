"""The family of equations of an ideal gas: the compressible Euler equations in two dimensions."""

# No postponed annotations: a subclass in another file could not resolve them, and its arguments would go unchecked.
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fno_lightning.pdes.evolution import EvolutionPDE, Frame
from fno_lightning.pdes.requirements import require_resolution
from fno_lightning.pdes.solvers import EulerSolver
from fno_lightning.pdes.solvers.euler import Boundary, Conserved, frames, require_conserved


class CompressiblePDE(EvolutionPDE):
    """An equation of an ideal gas in two dimensions, solved by :class:`~fno_lightning.pdes.solvers.EulerSolver`.

    A subclass is a frozen dataclass with the arguments of an :class:`EvolutionPDE` and ``compile``. It gives the
    centres of the cells, the conditions on the sides, the solver, the initial state, and the fields that are stored.
    Where nothing can leave, a simulation is refused unless mass, momentum and energy stay to round-off.
    """

    resolution: tuple[int, int]
    compile: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        require_resolution(self.resolution, n_dims=2)

    @property
    @abstractmethod
    def cell_centres(self) -> Mapping[str, Tensor]:
        """Centres of the cells along x and y, ``(cells,)``, in float64."""

    @property
    @abstractmethod
    def sides(self) -> tuple[Boundary, Boundary]:
        """Conditions along x and along y."""

    @abstractmethod
    def euler_solver(self, parameters: Mapping[str, float], n_trajectories: int, device: str) -> EulerSolver:
        """Return the solver of a batch of trajectories.

        Args:
            parameters: One entry of :attr:`parameter_sets`.
            n_trajectories: Size of the batch.
            device: Device of the computation.
        """

    @abstractmethod
    def start(self, parameters: Mapping[str, float], seeds: Sequence[int], device: str) -> Conserved:
        """Return the initial state of each seed, ``(batch, x, y)``, in the precision of the simulation.

        Args:
            parameters: One entry of :attr:`parameter_sets`.
            seeds: Seed of each trajectory.
            device: Device of the state.
        """

    @abstractmethod
    def frame(self, state: Conserved, gamma: float) -> Frame:
        """Return the fields that are stored of a state of a gas with the ratio of specific heats γ."""

    def rate(self, state: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return what flows in through the faces, and the source; see :meth:`EvolutionPDE.rate`."""
        rates = torch.zeros_like(state)
        on_grid = self if state.shape[2:] == self.resolution else self._changed(resolution=tuple(state.shape[2:]))
        assert isinstance(on_grid, CompressiblePDE)
        values, of_sample = torch.unique(torch.stack(list(parameters.values()), dim=1), dim=0, return_inverse=True)
        for number, row in enumerate(values.tolist()):
            chosen = (of_sample == number).nonzero()[:, 0]
            solver = on_grid.euler_solver(dict(zip(parameters, row, strict=True)), len(chosen), str(state.device))
            rates[chosen] = torch.stack(solver.rate(Conserved(*state[chosen].unbind(dim=1))), dim=1)
        return rates

    @property
    def settings(self) -> dict[str, Any]:
        """Every plain value that the trajectories depend on: all but ``compile``."""
        return {name: value for name, value in super().settings.items() if name != "compile"}

    @property
    def grid(self) -> Mapping[str, Tensor]:
        """Centres of the cells along each axis."""
        return {name: centres.float() for name, centres in self.cell_centres.items()}

    @property
    def boundaries(self) -> Mapping[str, tuple[str, str]]:
        """The same condition on both sides of an axis."""
        return {axis: (side, side) for axis, side in zip("xy", self.sides, strict=True)}

    def frames(self, parameters: Mapping[str, float], seeds: Sequence[int], device: str) -> Iterator[Frame]:
        """Yield the stored fields of each frame, on the CPU; see :meth:`EvolutionPDE.frames`.

        Raises:
            FloatingPointError: if a density or pressure stops being positive, or if mass, momentum or energy change
                where nothing can leave; names the time and the seeds.
        """
        solver = self.euler_solver(parameters, len(seeds), device)
        is_closed = solver.source is None and self.sides == ("periodic", "periodic")
        start = self.start(parameters, seeds, device)
        for number, state in enumerate(frames(solver, start, self.n_frames, self.frame_interval, seeds)):
            if is_closed:
                require_conserved(start, state, seeds, number * self.frame_interval)
            fields = self.frame(state, solver.gamma)
            yield Frame(*({name: values.float().cpu() for name, values in group.items()} for group in fields))
