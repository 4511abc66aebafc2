"""Trajectories that lie in memory: their windows and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from fno_lightning.data.batch import Batch
from fno_lightning.data.statistics import Statistics, StoredTypes, statistics_from_moments
from fno_lightning.data.windows import Window
from fno_lightning.pdes import Trajectories


class TrajectoryTensors(NamedTuple):
    """Trajectories as channels, in the order that files have.

    Attributes:
        frames: Time-dependent fields, vectors by component, ``(trajectory, time, field, *grid)``.
        constants: Fields without time dependence, ``(trajectory, constant_field, *grid)``.
        scalars: Parameters, ``(trajectory, scalar)``.
    """

    frames: Tensor
    constants: Tensor
    scalars: Tensor


def as_tensors(trajectories: Trajectories) -> TrajectoryTensors:
    """Bring trajectories into the order of channels."""
    grid = [len(points) for points in trajectories.coordinates.values()]
    components = [values.unbind(dim=-1) for values in trajectories.vector_fields.values()]
    fields = [*trajectories.scalar_fields.values(), *(values for vector in components for values in vector)]
    frames = torch.stack(fields, dim=2)
    n = len(frames)
    constants, scalars = list(trajectories.constant_fields.values()), list(trajectories.scalars.values())
    return TrajectoryTensors(
        frames=frames.float(),
        constants=torch.stack(constants, dim=1).float() if constants else frames.new_empty(n, 0, *grid),
        scalars=torch.stack([s.to(frames).expand(n) for s in scalars], dim=1) if scalars else frames.new_empty(n, 0),
    )


def cut_window(part: Float[Tensor, "time field *grid"], n_steps_input: int, start: int, n_steps: int) -> list[Tensor]:
    """Return history and target of a window.

    Args:
        part: Frames of a trajectory.
        n_steps_input: Frames of the history.
        start: First frame of the window.
        n_steps: Frames of history and target together.
    """
    window = part[start : start + n_steps]
    return [window[:n_steps_input], window[n_steps_input:]]


class TrajectoryDataset(Dataset[Batch]):
    """Windows of trajectories that lie in memory.

    Args:
        trajectories: The trajectories.
        windows: Where the samples lie in them; ``file`` is not used.
        n_steps_input: Frames of a window that are history.
    """

    def __init__(self, trajectories: TrajectoryTensors, windows: Sequence[Window], n_steps_input: int) -> None:
        self.trajectories = trajectories
        self.windows = windows
        self.n_steps_input = n_steps_input

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Batch:
        _, trajectory, start, n_steps_output = self.windows[index]
        frames, constants, scalars = (part[trajectory] for part in self.trajectories)
        history, target = cut_window(frames, self.n_steps_input, start, self.n_steps_input + n_steps_output)
        return Batch(history, constants, scalars, target)


def tensor_statistics(trajectories: TrajectoryTensors) -> Statistics:
    """Compute the statistics of all trajectories, frames and points, by channel."""
    frames, constants, scalars = trajectories
    values = _moments(frames, channel=2)
    types = ([np.dtype(np.float32)] * n for n in (frames.shape[2], constants.shape[1], scalars.shape[1]))
    deltas = torch.zeros_like(values[0]), torch.zeros_like(values[1])
    if frames.shape[1] > 1:
        deltas = _moments(frames[:, 1:] - frames[:, :-1], channel=2)
    return statistics_from_moments(
        values=values,
        deltas=deltas,
        constants=_moments(constants, channel=1),
        scalars=scalars.cpu().T,
        stored=StoredTypes(*types),
    )


def _moments(values: Tensor, channel: int) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel."""
    if values.shape[channel] == 0:
        return torch.zeros(0, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
    by_channel = values.cpu().movedim(channel, 0).flatten(1).double()
    variance, mean = torch.var_mean(by_channel, dim=1, correction=0)
    return mean, variance.sqrt()
