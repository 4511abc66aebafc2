"""A tiny data set whose forecasts are known, and a module whose errors are too."""

import torch
from torch import nn
from torch.utils.data import Dataset

from fno_lightning.data import Batch, FieldDataModule, FieldSpec, Statistics
from fno_lightning.modules import ForecastModule


def make_spec(grid=(8, 6), *, n_fields=2, steady=False, source="simulated by a test"):
    n_dims = len(grid)
    return FieldSpec(
        dataset_name="waves",
        fields=("height", "velocity_x")[:n_fields],
        grid_shape=grid,
        scalars=("speed",),
        axes=("x", "y", "z")[:n_dims],
        extent=((0.0, 1.0),) * n_dims,
        boundaries=(("periodic", "periodic"),) * n_dims,
        time_step=None if steady else 0.5,
        source=source,
    )


def trajectory(index, grid, n_frames=20):
    """Two fields of noise about a mean; frame k of trajectory i depends on (i, k) only."""
    generator = torch.Generator().manual_seed(index)
    return torch.randn(n_frames, 2, *grid, generator=generator) + torch.tensor([3.0, -1.0]).view(2, *(1,) * len(grid))


class Trajectories(Dataset):
    """Windows of trajectories: the first ``n_input`` frames as history, the next ``n_output`` as target."""

    def __init__(self, indices, grid, n_fields, n_input, n_output):
        self.indices, self.grid, self.n_fields = indices, grid, n_fields
        self.n_input, self.n_output = n_input, n_output

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, i):
        frames = trajectory(self.indices[i], self.grid)[:, : self.n_fields]
        history, target = frames[: self.n_input], frames[self.n_input : self.n_input + self.n_output]
        constants = torch.empty(0, *self.grid)
        return Batch(history, constants, torch.tensor([0.1 * (self.indices[i] + 1)]), target)


class WaveData(FieldDataModule):
    def __init__(self, grid=(8, 6), n_fields=2, n_input=2, n_rollout=16, n_trajectories=3, rollout_batch_size=2):
        super().__init__(batch_size=2, rollout_batch_size=rollout_batch_size)
        self.grid, self.n_fields, self.n_trajectories = grid, n_fields, n_trajectories
        self.n_steps_input, self.n_rollout = n_input, n_rollout

    @property
    def spec(self):
        return make_spec(self.grid, n_fields=self.n_fields, steady=self.n_steps_input == 0)

    @property
    def statistics(self):
        one, none = torch.ones(self.n_fields), torch.empty(0)
        mean = torch.tensor([3.0, -1.0])[: self.n_fields]
        return Statistics(mean, one, mean.abs(), 0 * one, one, one, none, none, torch.zeros(1), torch.ones(1))

    def dataset(self, split):
        first = {"train": 100, "valid": 200, "test": 300}[split]
        return Trajectories(range(first, first + 4), self.grid, self.n_fields, self.n_steps_input, 1)

    def rollout_dataset(self, split):
        first = {"valid": 0, "test": 10}[split]
        numbers = range(first, first + self.n_trajectories)
        return Trajectories(numbers, self.grid, self.n_fields, self.n_steps_input, self.n_rollout)


class Pointwise(nn.Module):
    """Mixes channels with dropout, so that evaluation and training differ."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.mix = nn.Linear(in_channels, out_channels)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(self.mix(x.movedim(1, -1))).movedim(-1, 1)


class WaveModule(ForecastModule):
    def build_network(self):
        return Pointwise(self.in_channels, self.out_channels)


class DivergingModule(WaveModule):
    """Forecasts that stop being finite at the 5th step of the second trajectory of a batch."""

    def forecast(self, *args, **kwargs):
        prediction = super().forecast(*args, **kwargs)
        prediction[1:2, 4:] = torch.nan
        return prediction


def make_module(data, kind=WaveModule):
    return kind(spec=data.spec, n_steps_input=data.n_steps_input)
