"""The family of equations without time: from coefficients and sources to a solution."""

# No postponed annotations: a subclass in another file could not resolve them, and its arguments would go unchecked.
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from fno_lightning.pdes.base import PDE, Trajectories
from fno_lightning.pdes.equation import Residual, TrialSolution, named
from fno_lightning.pdes.requirements import broken_seeds

POINTS_AT_ONCE = {"cpu": 2**19, "cuda": 2**24}
"""Grid points of one batch by type of device: few enough for a CPU's cache, enough to keep a GPU busy."""


class Solution(NamedTuple):
    """Solved samples, in the precision of the solver.

    Attributes:
        constant_fields: Coefficients and sources by name, ``(batch, *grid)``.
        scalars: Parameters that differ between the samples by name, ``(batch,)``.
        solution: The field that solves the equation, ``(batch, *grid)``.
        residual: Norm of the discrete equation's residual over that of its right-hand side, ``(batch,)``.
    """

    constant_fields: dict[str, Tensor]
    scalars: dict[str, Tensor]
    solution: Tensor
    residual: Tensor


class SteadyPDE(PDE):
    """An equation without time: draws a sample for each seed and solves it.

    A subclass is a frozen dataclass with an argument ``resolution``, names its fields, and overrides :meth:`solve` and
    :attr:`grid`. Its data have one frame, and are used with ``n_steps_input=0``.
    """

    resolution: tuple[int, ...]
    constant_field_names: ClassVar[tuple[str, ...]]
    scalar_names: ClassVar[tuple[str, ...]] = ()
    solution_name: ClassVar[str] = "solution"
    boundary: ClassVar[Literal["periodic", "wall", "open"]] = "periodic"
    max_residual: ClassVar[float] = 1e-6
    """Largest relative residual of a sample that is kept."""

    @property
    @abstractmethod
    def grid(self) -> Mapping[str, Tensor]:
        """Coordinates of each axis by name."""

    @abstractmethod
    def solve(self, seeds: Sequence[int], device: str) -> Solution:
        """Draw and solve one sample for each seed.

        Args:
            seeds: Seed of each sample.
            device: Device of the computation.
        """

    def discrete_residual(
        self, solution: Tensor, constants: Mapping[str, Tensor], scalars: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the residual of the discrete equation, differentiable, and its right-hand side.

        Args:
            solution: The field that may solve it, ``(batch, *grid)``, on any grid of the domain.
            constants: Constant fields by name, likewise.
            scalars: Parameters by name, ``(batch,)``.

        Raises:
            NotImplementedError: if the equation does not state it.
            ValueError: if a constant field or scalar is missing.
        """
        raise NotImplementedError(f"{type(self).__name__} states no residual: override discrete_residual")

    def residual(self, solution: TrialSolution) -> Residual:
        """Return the discrete residual; its scale is the root mean square of the right-hand side, 1 where that is 0."""
        (field,) = named(solution.fields, (self.solution_name,), "fields")
        if field.shape[1] != 1 or solution.time_step is not None:
            raise ValueError(f"{type(self).__name__} is an equation without time, but the data have several frames")
        error, right = self.discrete_residual(field[:, 0], solution.constants, solution.scalars)
        size = right.detach().flatten(1).square().mean(dim=1, keepdim=True).sqrt()
        return Residual(error[:, None, None], torch.where(size > 0, size, 1.0))

    @property
    def schema(self) -> Trajectories:
        """One sample without its values."""
        field = torch.empty(1, *self.resolution, device="meta")
        return self._samples(
            Solution(
                constant_fields=dict.fromkeys(self.constant_field_names, field),
                scalars=dict.fromkeys(self.scalar_names, torch.tensor(0.0)),
                solution=field,
                residual=torch.zeros(1),
            )
        )

    def simulate_batch(
        self, parameters: Mapping[str, float], seeds: Sequence[int], device: str, report: Callable[[float], None]
    ) -> Trajectories:
        """Solve one sample for each seed; see :meth:`PDE.simulate_batch`.

        Raises:
            FloatingPointError: if a solution is not finite or does not satisfy the equation; names the seeds.
        """
        parts = []
        for first, last in self._pieces(len(seeds), torch.device(device).type):
            part = self.solve(seeds[first:last], device)
            self._require_solved(part, seeds[first:last])
            parts.append(self._samples(part))
            report(last / len(seeds))
        return _joined(parts)

    def _pieces(self, n_samples: int, device_type: str) -> Iterator[tuple[int, int]]:
        size = max(1, POINTS_AT_ONCE.get(device_type, POINTS_AT_ONCE["cpu"]) // math.prod(self.resolution))
        for first in range(0, n_samples, size):
            yield first, min(first + size, n_samples)

    def _require_solved(self, part: Solution, seeds: Sequence[int]) -> None:
        values = (part.solution, *part.constant_fields.values())
        finite = torch.stack([value.isfinite().flatten(1).all(dim=1) for value in values]).all(dim=0)
        solved = finite & (part.residual <= self.max_residual)
        broken = broken_seeds(solved, seeds)
        if broken:
            raise FloatingPointError(
                f"{type(self).__name__} is not solved for seeds {broken}: relative residuals "
                f"{[f'{residual:.2g}' for residual in part.residual[~solved].tolist()]}, allowed "
                f"{self.max_residual:g}; nothing of them is kept. Choose a milder range of coefficients or a finer grid"
            )

    def _samples(self, part: Solution) -> Trajectories:
        return Trajectories(
            time=torch.zeros(1),
            coordinates=self.grid,
            boundaries=dict.fromkeys(self.grid, (self.boundary, self.boundary)),
            scalars={name: part.scalars[name].float() for name in self.scalar_names},
            scalar_fields={self.solution_name: part.solution[:, None].float()},
            constant_fields={name: part.constant_fields[name].float() for name in self.constant_field_names},
        )


def _joined(parts: Sequence[Trajectories]) -> Trajectories:
    """Concatenate batches of samples."""

    def join(name: str) -> dict[str, Tensor]:
        return {key: torch.cat([getattr(part, name)[key] for part in parts]) for key in getattr(parts[0], name)}

    first = parts[0]
    groups = {name: join(name) for name in ("scalars", "scalar_fields", "constant_fields")}
    return Trajectories(time=first.time, coordinates=first.coordinates, boundaries=first.boundaries, **groups)
