"""Samples per second of the loader, against the_well's data set in PyTorch's loader."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from fno_lightning.data import WellDataModule
from tests.benchmarks.checks import DifferentResultError
from tests.benchmarks.data_sets import write_radiative_layers
from tests.benchmarks.harness import (
    Benchmark,
    Contestant,
    Measurement,
    Row,
    Settings,
    interleave,
    paired_ratios,
    seconds,
)

DISK = Row("loader_disk", "reading batches of turbulent_radiative_layer_2D's shape, against the_well: from disk", 3)
RAM = Row("loader_ram", "the same from memory", 15)
N_STEPS_INPUT = 4


def measure(settings: Settings) -> Mapping[str, Measurement]:
    grid = settings.size(128, 8), settings.size(384, 12)
    n_batches, batch_size = settings.size(8, 2), 8
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "random"
        write_radiative_layers(root, grid, settings.size(4, 1))
        ours = {
            name: WellDataModule(root.name, folder, n_steps_input=N_STEPS_INPUT, batch_size=batch_size, cache=cache)
            for name, cache in (("ours, from disk", "none"), ("ours, from memory", "ram"))
        }
        return compare(settings, ours, the_well(root), batch_size, n_batches)


def the_well(root: Path) -> Dataset:
    """Return the data set of the_well, without normalisation as ours."""
    from the_well.data import WellDataset

    logging.getLogger("the_well").setLevel(logging.ERROR)
    return WellDataset(path=str(root), well_split_name="train", n_steps_input=N_STEPS_INPUT, n_steps_output=1)


def compare(
    settings: Settings, ours: Mapping[str, WellDataModule], theirs: Dataset, batch_size: int, n_batches: int
) -> Mapping[str, Measurement]:
    """Load the same samples in the same order with each loader."""
    generator = torch.Generator().manual_seed(0)
    order: list[int] = []

    def loader(dataset: Dataset, **options: Any) -> DataLoader:
        return DataLoader(dataset, batch_size=batch_size, sampler=order, **options)

    def rate(dataset: Dataset, **options: Any) -> float:
        return len(order) / seconds(lambda: consume(loader(dataset, **options)), torch.device("cpu"))

    def reshuffle() -> None:
        order[:] = torch.randperm(len(theirs), generator=generator)[: n_batches * batch_size].tolist()

    def reshuffled_rate() -> float:
        reshuffle()
        return rate(theirs)

    sides: dict[str, tuple[Dataset, dict[str, Any]]] = {}
    for name, data in ours.items():
        own = data.train_dataloader()
        sides[name] = own.dataset, {"collate_fn": own.collate_fn}
    reshuffle()
    require_same_batches(
        next(iter(loader(theirs))), {name: next(iter(loader(dataset, **o))) for name, (dataset, o) in sides.items()}
    )
    contestants = {"the_well": Contestant(reshuffled_rate)}
    for name, (dataset, options) in sides.items():
        contestants[name] = Contestant(lambda dataset=dataset, options=options: rate(dataset, **options))
    series = interleave(contestants, settings.rounds(15), unit="samples/s")
    notes = [f"batches of {batch_size}, no worker processes, file in the page cache, equal batches"]
    disk, ram = ours
    return {
        row.name: Measurement(
            paired_ratios(series[name], series["the_well"]),
            series[name],
            series["the_well"],
            notes=notes,
        )
        for row, name in ((DISK, disk), (RAM, ram))
    }


def consume(loader: DataLoader) -> None:
    """Load all batches, and keep none."""
    for _ in loader:
        pass


def require_same_batches(theirs: Mapping[str, torch.Tensor], ours: Mapping[str, Sequence[torch.Tensor]]) -> None:
    """Check that the batches hold the same numbers; the_well has the channels last.

    Raises:
        DifferentResultError: if they do not.
    """
    for name, batch in ours.items():
        for part, key in ((batch[0], "input_fields"), (batch[3], "output_fields")):
            if not torch.equal(part, theirs[key].movedim(-1, 2)):
                raise DifferentResultError(f"{name} loads other {key} than the_well")


BENCHMARK = Benchmark((DISK, RAM), measure, peers=("the_well",))
