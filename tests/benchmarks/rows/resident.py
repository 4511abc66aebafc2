"""Training with the real loader, against training on one resident batch."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch.utils.data import DataLoader, IterableDataset

from fno_lightning.data import Batch, WellDataModule
from tests.benchmarks.checks import require_falling
from tests.benchmarks.data_sets import write_radiative_layers
from tests.benchmarks.harness import Benchmark, Contestant, Measurement, Row, Settings, interleave, paired_ratios
from tests.benchmarks.lightning_training import fit, loss_of_samples, make_module
from tests.benchmarks.rows.fno_steps import reference_case

ROW = Row("resident", "training with the loader against training on one resident batch, 128 x 384, batch 2", 0.97)


class OneBatch(IterableDataset):
    """Yield the same batch again and again.

    Args:
        batch: The batch, on the device.
        n_batches: Number of repetitions.
    """

    def __init__(self, batch: Batch, n_batches: int) -> None:
        self.batch, self.n_batches = batch, n_batches

    def __iter__(self) -> Iterator[Batch]:
        return iter([self.batch] * self.n_batches)

    def __len__(self) -> int:
        return self.n_batches


class ResidentDataModule(WellDataModule):
    """Train on the first batch of a data set only."""

    n_batches = 1
    device = torch.device("cpu")

    def train_dataloader(self) -> DataLoader:
        batch = next(iter(super().train_dataloader()))
        moved = Batch(*(part.to(self.device) for part in batch))
        return DataLoader(OneBatch(moved, self.n_batches), batch_size=None)


def measure(settings: Settings) -> Mapping[str, Measurement]:
    arguments, grid, batch_size = reference_case(settings)
    network = {name: arguments[name] for name in ("n_modes", "hidden_channels", "n_layers")}
    n_steps, skip = settings.size(9, 3), 1
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "random"
        write_radiative_layers(root, grid, n_trajectories=2)
        options = {"n_steps_input": 4, "batch_size": batch_size}
        loaded = WellDataModule(root.name, folder, **options)
        resident = ResidentDataModule(root.name, folder, cache="none", **options)
        resident.n_batches, resident.device = n_steps, settings.device
        module = make_module(loaded, settings, network, compile=settings.compile_unless_quick)
        losses = [loss_of_samples(module, resident, batch_size)]

        def seconds_per_step(data: WellDataModule) -> float:
            stopwatch = fit(module, data, settings, skip=skip, max_steps=n_steps, max_epochs=-1)
            return stopwatch.seconds_per_step

        sides = {"ours, real loader": loaded, "ours, one resident batch": resident}
        contestants = {name: Contestant(lambda data=data: seconds_per_step(data)) for name, data in sides.items()}
        series = interleave(contestants, settings.rounds(5), unit="s/step")
        losses.append(loss_of_samples(module, resident, batch_size))
    require_falling({"ours": losses})
    real, one = series.values()
    notes = ["not compiled"] if settings.quick else []
    notes += [f"inside Lightning, {n_steps - skip} steps a round, the loader's cache chosen by itself"]
    return {ROW.name: Measurement(paired_ratios(one, real), real, one, notes=notes)}


BENCHMARK = Benchmark((ROW,), measure)
