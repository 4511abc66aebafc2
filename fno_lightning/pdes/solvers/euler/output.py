"""The frames of a simulation at equal intervals of time, and the check that a closed system keeps what it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from fno_lightning.pdes.requirements import broken_seeds
from fno_lightning.pdes.solvers.euler.solver import EulerSolver, UnphysicalStateError
from fno_lightning.pdes.solvers.euler.state import Conserved

ROUND_OFF = {torch.float32: 1e-4, torch.float64: 1e-12}
"""Largest relative change of what is conserved."""


def frames(
    solver: EulerSolver, start: Conserved, n_frames: int, interval: float, seeds: Sequence[int]
) -> Iterator[Conserved]:
    """Yield the initial state, and then the state after each interval.

    Args:
        solver: The solver.
        start: Initial state.
        n_frames: Number of states.
        interval: Time between two of them.
        seeds: Seed of each trajectory, for the error message.

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


def require_conserved(start: Conserved, state: Conserved, seeds: Sequence[int], time: float) -> None:
    """Check that mass, momentum and energy of every trajectory are those of the start.

    Args:
        start: Initial state.
        state: Later state.
        seeds: Seed of each trajectory, for the error message.
        time: Time of the later state, likewise.

    Raises:
        FloatingPointError: if one has changed by more than round-off; names the seeds and the time.
    """
    before, now = (torch.stack(fields, dim=1).double().sum(dim=(2, 3)) for fields in (start, state))
    mass, energy = before[:, 0], before[:, 3]
    momentum = (mass * energy).sqrt()
    change = ((now - before) / torch.stack([mass, momentum, momentum, energy], dim=1)).abs().amax(dim=1)
    kept = change <= ROUND_OFF[start.density.dtype]
    broken = broken_seeds(kept, seeds)
    if broken:
        raise FloatingPointError(
            f"mass, momentum or energy of seeds {broken} have changed at time {time:.4g}, by "
            f"{', '.join(f'{value:.2g}' for value in change[~kept].tolist())} of the whole; nothing of it is kept"
        )
