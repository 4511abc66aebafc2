"""Samples per second of the loader beside the_well's, at the shape of turbulent_radiative_layer_2D.

Both read the same file from the page cache, in the same random order, into batches on the CPU; the_well's dataset
leaves its samples unnormalised, as ours does. Run it with ``python tests/benchmarks/loader.py``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from the_well.data import WellDataset
from torch.utils.data import DataLoader, Dataset

from fno_lightning.data import WellDataModule, write_well_file
from fno_lightning.pdes import Trajectories

N_STEPS_INPUT = 4


def write_data_set(root: Path, grid: tuple[int, int], n_trajectories: int) -> None:
    """Writes random fields with the names and shapes of the real data set."""
    n_x, n_y = grid
    lead = (n_trajectories, 101, n_x, n_y)
    trajectories = Trajectories(
        time=torch.linspace(0, 159.7033, 101),
        coordinates={"x": torch.linspace(-0.5, 0.5, n_x), "y": torch.linspace(-1, 2, n_y)},
        boundaries={"x": ("periodic", "periodic"), "y": ("open", "open")},
        scalars={"tcool": torch.tensor(0.1)},
        scalar_fields={"density": torch.rand(lead), "pressure": torch.rand(lead)},
        vector_fields={"velocity": torch.rand(*lead, 2)},
    )
    write_well_file(root / "data" / "train" / "a.hdf5", trajectories, dataset_name=root.name, provenance={})


def seconds_per_sample(dataset: Dataset, indices: list[int], options: argparse.Namespace, **loader_options) -> float:
    """Time to load some samples in batches."""
    loader = DataLoader(
        dataset, batch_size=options.batch_size, sampler=indices, num_workers=options.workers, **loader_options
    )
    begin = time.perf_counter()
    n_samples = sum(len(next(iter(batch.values())) if isinstance(batch, dict) else batch[0]) for batch in loader)
    return (time.perf_counter() - begin) / n_samples


def main() -> None:
    """Measures both loaders in turn and prints the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grid", type=int, nargs=2, default=(128, 384))
    parser.add_argument("--trajectories", type=int, default=4)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--batches", type=int, default=8, help="batches in a round")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "random"
        write_data_set(root, tuple(options.grid), options.trajectories)
        ours = WellDataModule(root.name, folder, n_steps_input=N_STEPS_INPUT).train_dataloader()
        theirs = WellDataset(path=str(root), well_split_name="train", n_steps_input=N_STEPS_INPUT, n_steps_output=1)
        times: dict[str, list[float]] = {"the_well": [], "fno_lightning": []}
        for _ in range(options.rounds + 1):
            indices = torch.randperm(len(theirs))[: options.batch_size * options.batches].tolist()
            times["the_well"].append(seconds_per_sample(theirs, indices, options))
            ours_options = {"collate_fn": ours.collate_fn}
            times["fno_lightning"].append(seconds_per_sample(ours.dataset, indices, options, **ours_options))
    medians = {name: statistics.median(rounds[1:]) for name, rounds in times.items()}
    for name, seconds in medians.items():
        print(f"{name:15} {1e3 * seconds:7.2f} ms/sample {1 / seconds:8.0f} samples/s")
    print(f"ratio           {medians['the_well'] / medians['fno_lightning']:7.1f}")


if __name__ == "__main__":
    main()
