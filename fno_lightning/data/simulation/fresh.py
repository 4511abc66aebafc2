"""Samples of an equation that are simulated when they are asked for."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from fno_lightning.data.batch import SPLITS, Batch
from fno_lightning.data.loading import EpochSampler, process_count, process_rank
from fno_lightning.data.simulation.data_set import trajectory_seeds
from fno_lightning.data.simulation.tensors import TrajectoryTensors, as_tensors, cut_window
from fno_lightning.pdes import PDE


class FreshDataset(Dataset[Batch]):
    """Samples of an equation by number, simulated when they are asked for.

    Args:
        pde: The equation.
        n_steps_input: Frames of a window that are history.
        n_steps_output: Frames of a window that are target.
        seed: Selects the samples.
        device: Device of the simulation and of the samples.
    """

    def __init__(self, pde: PDE, n_steps_input: int, n_steps_output: int, seed: int, device: str) -> None:
        self.pde = pde
        self.n_steps_input = n_steps_input
        self.n_steps = n_steps_input + n_steps_output
        self.seed = seed
        self.device = device
        self._n_starts = len(pde.schema.time) - self.n_steps + 1

    def __getitem__(self, number: int) -> Batch:
        return Batch(*(part[0] for part in self.__getitems__([number])))

    def __getitems__(self, numbers: Sequence[int]) -> Batch:
        """Return samples as one batch."""
        numbers = [len(SPLITS) * number for number in numbers]  # the numbers between them are those of the other splits
        frames, constants, scalars = simulate_numbers(self.pde, numbers, self.seed, self.device)
        starts = [int(np.random.default_rng((self.seed, number)).integers(self._n_starts)) for number in numbers]
        cut = [
            cut_window(part, self.n_steps_input, start, self.n_steps)
            for part, start in zip(frames, starts, strict=True)
        ]
        history, target = (torch.stack(parts) for parts in zip(*cut, strict=True))
        return Batch(history, constants, scalars, target)


class FreshNumbers(EpochSampler):
    """Numbers of the samples of an epoch that this process trains on; no number comes twice in a training.

    Every process gets equally many.

    Args:
        samples_per_epoch: Samples of an epoch, of all processes together; rounded up to a multiple of the processes.
    """

    def __init__(self, samples_per_epoch: int) -> None:
        super().__init__()
        self.n_processes, self.process = process_count(), process_rank()
        self.n_samples = math.ceil(samples_per_epoch / self.n_processes)

    def __len__(self) -> int:
        return self.n_samples

    def __iter__(self) -> Iterator[int]:
        first = self.epoch * self.n_samples * self.n_processes
        return iter(range(first + self.process, first + self.n_samples * self.n_processes, self.n_processes))


def simulate_numbers(pde: PDE, numbers: Sequence[int], seed: int, device: str) -> TrajectoryTensors:
    """Simulate numbered trajectories, those of each set of parameters at once.

    Args:
        pde: The equation.
        numbers: Numbers of the trajectories; they decide seeds and parameters.
        seed: Seed of the data set.
        device: Device of the simulation and of the result.
    """
    parameter_sets = pde.parameter_sets
    seeds = trajectory_seeds(seed, numbers)
    groups: dict[int, list[int]] = defaultdict(list)
    for row in range(len(numbers)):
        groups[(seeds[row] >> 16) % len(parameter_sets)].append(row)  # the lowest bits follow the number's
    parts = [
        as_tensors(pde.simulate(parameter_sets[index], [seeds[row] for row in rows], device=device))
        for index, rows in groups.items()
    ]
    order = torch.tensor([row for rows in groups.values() for row in rows]).argsort()
    return TrajectoryTensors(*(torch.cat(part)[order].to(device) for part in zip(*parts, strict=True)))
