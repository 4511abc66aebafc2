"""Data sets that are never stored: fresh samples of an equation in every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader, Dataset

from fno_lightning.arguments import plain
from fno_lightning.data.base import FieldDataModule, require_at_least
from fno_lightning.data.batch import SPLITS, Batch, Split, splits_of
from fno_lightning.data.hdf5 import file_spec
from fno_lightning.data.hdf5.points import time_text
from fno_lightning.data.loading import make_loader
from fno_lightning.data.shuffling import ResumableLoader
from fno_lightning.data.simulation import (
    FreshDataset,
    FreshNumbers,
    TrajectoryDataset,
    TrajectoryTensors,
    schema_file,
    simulate_numbers,
    tensor_statistics,
)
from fno_lightning.data.statistics import Statistics
from fno_lightning.data.windows import SlidingWindows, TrajectoryKey, whole_trajectories
from fno_lightning.field_spec import FieldSpec
from fno_lightning.pdes import PDE
from fno_lightning.progress import progress_bar
from fno_lightning.version import __version__


class OnTheFlyDataModule(FieldDataModule):
    """Fresh samples of an equation in every epoch, simulated on the training device; nothing is on disk.

    No training sample is seen twice. Each is a window, at a random place, of a trajectory of its own; that of number i
    depends on ``seed`` and i alone, so a training can be repeated, also on another number of devices, which share the
    samples of an epoch out. Validation and test are simulated once and kept in memory, and so are the first training
    samples, which the statistics are taken from.

    Args:
        pde: The equation. If it has several sets of parameters, each sample has one of them, equally likely.
        n_steps_input: Frames that a forecast starts from; 0 for a steady problem.
        n_steps_output: Frames to be predicted.
        samples_per_epoch: Training samples of an epoch, of all devices together.
        n_valid: Trajectories of the validation split.
        n_test: Trajectories of the test split.
        n_statistics: Trajectories that the statistics are taken from.
        seed: Selects the samples.
        device: Device of the simulation; ``auto``: that of the training.
        **loader_options: Batch sizes and options of the loaders, see :class:`FieldDataModule`; ``num_workers`` simulate
            on the CPU.

    Raises:
        ValueError: if a count is too small, or the equation's trajectories are too short for a window or have no
            single time step.
    """

    def __init__(
        self,
        pde: PDE,
        *,
        n_steps_input: int = 0,
        n_steps_output: int = 1,
        samples_per_epoch: int = 2048,
        n_valid: int = 128,
        n_test: int = 128,
        n_statistics: int = 128,
        seed: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        **loader_options: Any,
    ) -> None:
        super().__init__(**loader_options)
        require_at_least(0, n_steps_input=n_steps_input, seed=seed)
        require_at_least(1, n_steps_output=n_steps_output, samples_per_epoch=samples_per_epoch)
        require_at_least(1, n_valid=n_valid, n_test=n_test, n_statistics=n_statistics)
        if self.num_workers > 0 and device == "cuda":
            raise ValueError(
                f"num_workers is {self.num_workers}, but worker processes simulate on the CPU: set it to 0"
            )
        self.pde = pde
        self.n_steps_input = plain(n_steps_input, "n_steps_input")
        self.n_steps_output: int = plain(n_steps_output, "n_steps_output")
        self.samples_per_epoch: int = plain(samples_per_epoch, "samples_per_epoch")
        counts = {"train": n_statistics, "valid": n_valid, "test": n_test}
        self.n_trajectories: dict[Split, int] = plain(counts, "counts")
        self.seed: int = plain(seed, "seed")
        self.device = device
        self._reset()
        self._require_windows()

    def _reset(self) -> None:
        self._trajectories: dict[Split, TrajectoryTensors] = {}

    @cached_property
    def spec(self) -> FieldSpec:
        """Description of the data, from the equation."""
        file = schema_file(self.pde, f"simulated on the fly: fno_lightning {__version__} {type(self.pde).__name__}")
        is_steady = self.n_steps_input == 0 or file.n_frames == 1
        return file_spec(
            file,
            fields=file.components(time_varying=True),
            time_step=None if is_steady else file.frame_interval,
            source=file.source or "",
        )

    @cached_property
    def statistics(self) -> Statistics:
        """Statistics of the first training samples' trajectories."""
        return tensor_statistics(self._simulated("train"))

    def setup(self, stage: str | None = None) -> None:
        """Simulate the trajectories of a stage: for ``fit`` validation and statistics, else the split."""
        for split in splits_of(stage):
            self._simulated(split)

    def dataset(self, split: Split) -> Dataset[Batch]:
        """Return all windows of a split; of the train split, fresh samples by number."""
        if split == "train":
            return FreshDataset(self.pde, self.n_steps_input, self.n_steps_output, self.seed, self._device)
        windows = SlidingWindows(self._keys(split), self.n_steps_input, self.n_steps_output)
        return TrajectoryDataset(self._simulated(split), windows, self.n_steps_input)

    def rollout_dataset(self, split: Split) -> Dataset[Batch]:
        """Return the full trajectories of a split; of the train split, those that the statistics are taken from."""
        windows = whole_trajectories(self._keys(split), self.n_steps_input)
        return TrajectoryDataset(self._simulated(split), windows, self.n_steps_input)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the samples of an epoch; every epoch has new ones."""
        numbers = FreshNumbers(self.samples_per_epoch)
        options = self._train_options(numbers, may_drop_last=False)
        dataset, options = self._on_train_grids(self.dataset("train"), options)
        return make_loader(
            dataset,
            num_workers=self.num_workers,
            pin_memory=self.pin_memory and torch.device(self._device).type == "cpu",
            persistent_workers=self.persistent_workers,
            prefetch_factor=self.prefetch_factor,
            loader_class=ResumableLoader,
            **options,
        )

    def at_resolution(self, resolution: Sequence[int]) -> OnTheFlyDataModule:
        """Return the same data on another grid, from the same seeds."""
        if tuple(resolution) == self.spec.grid_shape:
            return self
        return self._changed(pde=self.pde.at_resolution(resolution))

    @property
    def _equation(self) -> PDE:
        return self.pde

    @property
    def _device(self) -> str:
        if self.device != "auto":
            return self.device
        if self.trainer is None or self.num_workers > 0:
            return "cpu"
        return str(self.trainer.strategy.root_device)

    def _simulated(self, split: Split) -> TrajectoryTensors:
        """The trajectories of a split, simulated at first use."""
        if split not in self._trajectories:
            numbers = [SPLITS.index(split) + len(SPLITS) * k for k in range(self.n_trajectories[split])]
            with progress_bar(f"Simulating {self.pde.dataset_name}, {split}") as report:
                pieces = [numbers[first : first + self.batch_size] for first in range(0, len(numbers), self.batch_size)]
                parts = []
                for piece in pieces:
                    parts.append(simulate_numbers(self.pde, piece, self.seed, self._device))
                    report(len(parts) / len(pieces))
            self._trajectories[split] = TrajectoryTensors(*(torch.cat(part).cpu() for part in zip(*parts, strict=True)))
        return self._trajectories[split]

    def _keys(self, split: Split) -> list[TrajectoryKey]:
        n_frames = len(self.pde.schema.time)
        return [TrajectoryKey(0, trajectory, n_frames) for trajectory in range(self.n_trajectories[split])]

    def _require_windows(self) -> None:
        found = time_text(schema_file(self.pde, "").points["time"])
        if found is not None:
            raise ValueError(f"{type(self.pde).__name__} makes {found}: one network cannot step them all")
        n_frames, n_needed = len(self.pde.schema.time), self.n_steps_input + self.n_steps_output
        if n_frames < n_needed or (self.n_steps_input == 0 and n_frames > 1):
            raise ValueError(
                f"{type(self.pde).__name__} makes trajectories of {n_frames} frames, but n_steps_input="
                f"{self.n_steps_input} and n_steps_output={self.n_steps_output} need {n_needed}, and a steady problem "
                "(n_steps_input=0) exactly 1: change them, or the equation's n_frames"
            )
