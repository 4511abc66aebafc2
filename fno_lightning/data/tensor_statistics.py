"""Statistics of trajectories that lie in memory."""

from __future__ import annotations

import torch
from torch import Tensor

from fno_lightning.data.statistics import Statistics
from fno_lightning.data.trajectory_windows import TrajectoryTensors


def tensor_statistics(trajectories: TrajectoryTensors) -> Statistics:
    """Computes the statistics of all trajectories, frames and points, by channel."""
    frames, constants, scalars = trajectories
    std, mean = _moments(frames, channel=2)
    if frames.shape[1] > 1:
        std_delta, mean_delta = _moments(frames[:, 1:] - frames[:, :-1], channel=2)
    else:
        std_delta, mean_delta = torch.zeros_like(std), torch.zeros_like(mean)
    constant_std, constant_mean = _moments(constants, channel=1)
    scalar_std, scalar_mean = _moments(scalars, channel=1)
    return Statistics(
        mean=mean,
        std=std,
        rms=torch.hypot(mean, std),
        mean_delta=mean_delta,
        std_delta=std_delta,
        rms_delta=torch.hypot(mean_delta, std_delta),
        constant_mean=constant_mean,
        constant_std=constant_std,
        scalar_mean=scalar_mean,
        scalar_std=scalar_std,
    )


def _moments(values: Tensor, channel: int) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean of each channel."""
    if values.shape[channel] == 0:
        return torch.zeros(0), torch.zeros(0)
    by_channel = values.cpu().movedim(channel, 0).flatten(1).double()
    std, mean = torch.var_mean(by_channel, dim=1, correction=0)
    return std.sqrt().float(), mean.float()
