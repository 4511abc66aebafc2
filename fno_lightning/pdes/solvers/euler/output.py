"""The states of a simulation at equal intervals of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fno_lightning.pdes.solvers.euler.solver import EulerSolver, UnphysicalStateError
from fno_lightning.pdes.solvers.euler.state import Conserved


def frames(
    solver: EulerSolver, start: Conserved, n_frames: int, interval: float, seeds: Sequence[int]
) -> Iterator[Conserved]:
    """Yields the initial state, and then the state after each interval.

    Raises:
        FloatingPointError: if a density or pressure stops being positive and finite; names the time and the seeds.
    """
    state = start
    yield state
    for number in range(1, n_frames):
        try:
            state = solver.advance(state, interval)
        except UnphysicalStateError as error:
            broken = [seeds[trajectory] for trajectory in error.trajectories]
            raise FloatingPointError(
                f"the simulation of seeds {broken} broke down before time {number * interval:.4g}: {error}"
            ) from error
        yield state
