"""Travelling waves in memory, without files, and modules that forecast them."""

import torch
from torch import nn
from torch.utils.data import Dataset

from fno_lightning.data import Batch, FieldDataModule, FieldSpec, Statistics
from fno_lightning.modules import ForecastModule
from tests.travelling_wave import TravellingWave


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
    """Return the fields of a wave about a mean, ``(frame, field, *grid)``; the index gives phases and speed."""
    pde = TravellingWave(grid, n_frames=10 * n_frames)
    wave = pde.simulate({"speed": speed_of(index)}, [index])
    fields = torch.stack([values[0, ::10] for values in wave.scalar_fields.values()], dim=1)
    return fields + torch.tensor([3.0, -1.0]).view(2, *(1,) * len(grid))


def speed_of(index):
    return 0.1 * (index % 100 + 1)


class WaveWindows(Dataset):
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
        return Batch(history, constants, torch.tensor([speed_of(self.indices[i])]), target)


class WaveData(FieldDataModule):
    """Travelling waves, in frames 0.5 apart."""

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
        return WaveWindows(range(first, first + 4), self.grid, self.n_fields, self.n_steps_input, 1)

    def rollout_dataset(self, split):
        first = {"valid": 0, "test": 10}[split]
        numbers = range(first, first + self.n_trajectories)
        return WaveWindows(numbers, self.grid, self.n_fields, self.n_steps_input, self.n_rollout)


class Pointwise(nn.Module):
    """Mix channels with dropout, so that evaluation and training differ."""

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
    """Make forecasts that are not finite from the 5th step of the second trajectory of a batch on."""

    def forecast(self, *args, **kwargs):
        prediction = super().forecast(*args, **kwargs)
        prediction[1:2, 4:] = torch.nan
        return prediction


def make_module(data, kind=WaveModule):
    return kind(spec=data.spec, n_steps_input=data.n_steps_input)
