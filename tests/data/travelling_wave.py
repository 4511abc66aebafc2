"""An equation whose solution is known, so that data sets can be simulated in no time."""

import math

import torch

from fno_lightning.pdes import PDE, Trajectories


class TravellingWave(PDE):
    """Linear advection of a sine wave with a random phase, on a periodic by open grid.

    Args:
        speeds: Speed of the wave in each file.
        grid: Points along x and y.
        n_frames: Stored times.
    """

    dataset_name = "travelling_wave"

    def __init__(self, speeds=(0.5, 2.0), grid=(8, 6), n_frames=9):
        self.speeds, self.grid, self.n_frames = tuple(speeds), tuple(grid), n_frames
        self.calls = []

    @property
    def settings(self):
        return {"speeds": list(self.speeds), "grid": list(self.grid), "n_frames": self.n_frames}

    @property
    def parameter_sets(self):
        return [{"speed": speed} for speed in self.speeds]

    @property
    def schema(self):
        return self._trajectories(0.0, lambda *shape: torch.empty(1, self.n_frames, *shape, device="meta"))

    def file_name(self, parameters):
        return f"wave_speed_{parameters['speed']:.2f}.hdf5"

    def simulate(self, parameters, seeds, *, device="cpu", progress=None):
        self.calls.append((parameters["speed"], tuple(seeds)))
        x, t = self._x(), torch.arange(self.n_frames) * 0.1
        phases = torch.stack([torch.rand((), generator=torch.Generator().manual_seed(seed)) for seed in seeds])
        wave = torch.sin(2 * math.pi * (x - parameters["speed"] * t[:, None] + phases[:, None, None]))
        density = wave[..., None].expand(-1, -1, -1, self.grid[1])
        progress(0.5)
        velocity = torch.stack([density * 0 + parameters["speed"], density * 0], dim=-1)
        return self._trajectories(parameters["speed"], lambda *shape: velocity if len(shape) == 3 else density)

    def _x(self):
        return (torch.arange(self.grid[0]) + 0.5) / self.grid[0]

    def _trajectories(self, speed, field):
        return Trajectories(
            time=torch.arange(self.n_frames) * 0.1,
            coordinates={"x": self._x(), "y": (torch.arange(self.grid[1]) + 0.5) / 2},
            boundaries={"x": ("periodic", "periodic"), "y": ("open", "wall")},
            scalars={"speed": torch.tensor(speed)},
            scalar_fields={"density": field(*self.grid)},
            vector_fields={"velocity": field(*self.grid, 2)},
        )
