"""An equation with a known solution, small enough for every test: waves that travel at a constant speed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from fno_lightning.pdes import PDE, Trajectories


class TravellingWave(PDE):
    r"""Periodic travelling waves, :math:`\partial_t u + c\, \partial_x u = 0`, along the first axis.

    ``height`` is a sum of three sines with random phases; ``flux`` is its first derivative times the speed.

    Args:
        grid: Points along each axis of the unit box.
        speeds: Speed of the waves, one file each.
        n_frames: Stored frames.
    """

    dataset_name = "travelling_wave"

    def __init__(self, grid: Sequence[int] = (16,), speeds: Sequence[float] = (0.5, 1.0), n_frames: int = 10) -> None:
        self.grid = tuple(grid)
        self.speeds = tuple(speeds)
        self.n_frames = n_frames

    @property
    def settings(self):
        return {"grid": list(self.grid), "speeds": list(self.speeds), "n_frames": self.n_frames}

    @property
    def parameter_sets(self):
        return [{"speed": speed} for speed in self.speeds]

    @property
    def schema(self):
        fields = torch.empty(1, self.n_frames, *self.grid, device="meta")
        return self._trajectories(torch.tensor(0.0), fields, fields)

    def label(self, parameters):
        return f"travelling_wave_speed_{parameters['speed']:.2f}"

    def simulate(self, parameters, seeds, *, device="cpu", progress=None):
        phases = torch.stack([torch.rand(3, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
        position = self._coordinates()["x"].view(1, 1, 1, -1)
        time = self._time().view(1, 1, -1, 1)
        numbers = torch.arange(1, 4).view(1, 3, 1, 1)
        angle = 2 * math.pi * (numbers * (position - parameters["speed"] * time) + phases[:, :, None, None])
        height = (angle.sin() / numbers).sum(dim=1)
        flux = parameters["speed"] * (2 * math.pi * angle.cos()).sum(dim=1)
        along = (len(seeds), self.n_frames, self.grid[0], *(1,) * (len(self.grid) - 1))
        full = (len(seeds), self.n_frames, *self.grid)
        if progress is not None:
            progress(1.0)
        return self._trajectories(
            torch.tensor(parameters["speed"]), height.view(along).expand(full), flux.view(along).expand(full)
        )

    def _time(self):
        return torch.arange(self.n_frames) * 0.05

    def _coordinates(self):
        return {axis: (torch.arange(n) + 0.5) / n for axis, n in zip("xyz", self.grid, strict=False)}

    def _trajectories(self, speed, height, flux):
        coordinates = self._coordinates()
        return Trajectories(
            time=self._time(),
            coordinates=coordinates,
            boundaries=dict.fromkeys(coordinates, ("periodic", "periodic")),
            scalars={"speed": speed},
            scalar_fields={"height": height.contiguous(), "flux": flux.contiguous()},
        )
