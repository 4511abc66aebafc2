"""A data set that an equation makes: its files, their seeds and batches."""

from __future__ import annotations

import errno
import json
import logging
import shutil
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.filesize import decimal

from fno_lightning.class_path import current_path, public_path
from fno_lightning.data.batch import SPLITS, Split
from fno_lightning.data.hdf5 import trajectory_bytes
from fno_lightning.data.simulation.batch import SimulatedFile, SimulationBatch, simulate_batches
from fno_lightning.files import PART_SUFFIX, atomic_file
from fno_lightning.pdes import PDE
from fno_lightning.progress import duration, progress_bar
from fno_lightning.version import __version__


def trajectory_seeds(seed: int, numbers: Iterable[int]) -> list[int]:
    """Return seeds below 2^32 for numbered trajectories; different numbers below 2^32 have different seeds.

    More bits are lost on generators such as the Mersenne Twister; multiplication by an odd number maps those integers
    one to one onto themselves.

    Args:
        seed: Seed of the data set.
        numbers: Numbers of the trajectories.
    """
    offset = int(np.random.SeedSequence(seed).generate_state(1)[0])
    return [(offset + 2654435761 * number) % 2**32 for number in numbers]


def file_name(pde: PDE, parameters: Mapping[str, float]) -> Path:
    """Return the name of the file of one set of parameters: its label, or the name from a deprecated override."""
    if type(pde).file_name is PDE.file_name:
        return Path(f"{pde.label(parameters)}.hdf5")
    warnings.warn(
        f"{type(pde).__name__} overrides file_name, which the next release ignores: override label instead, which "
        "returns the name without suffix",
        FutureWarning,
        stacklevel=2,
    )
    return Path(pde.file_name(parameters))


logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
"""To be raised when the same settings begin to make other files."""

FILE_BYTES = 2**27
"""Most bytes of fields in a file of several trajectories: the loss by a kill, and the memory that is needed."""

BATCH_BYTES = {"cpu": 2**27, "cuda": 2**31}
"""Most bytes of fields that are simulated at once, by type of device, if that is more than one file."""


@dataclass(frozen=True)
class Simulation:
    """A data set that an equation makes: for each split and set of parameters a file, or several if it would be large.

    Args:
        pde: The equation.
        n_trajectories: Trajectories of each split for each set of parameters.
        seed: Selects the initial conditions.

    Raises:
        ValueError: if two sets of parameters would lie in files of the same name.
    """

    pde: PDE
    n_trajectories: Mapping[Split, int]
    seed: int

    def __post_init__(self) -> None:
        owners: dict[Path, Mapping[str, float]] = {}
        for parameters in self.pde.parameter_sets:
            name = file_name(self.pde, parameters)
            if name in owners:
                raise ValueError(
                    f"{type(self.pde).__name__}: the parameters {dict(owners[name])} and {dict(parameters)} agree in "
                    f"all digits that name their files, {name}; choose values that differ more"
                )
            owners[name] = parameters

    @property
    def source(self) -> str:
        """Origin of the data, for people to read."""
        return f"simulated: fno_lightning {__version__} {type(self.pde).__name__}"

    @property
    def settings(self) -> dict[str, Any]:
        """Every plain value that the files depend on."""
        return {
            "pde": public_path(type(self.pde)),
            "pde_settings": self.pde.settings,
            "n_trajectories": dict(self.n_trajectories),
            "seed": self.seed,
            "format_version": FORMAT_VERSION,
        }

    @property
    def key(self) -> str:
        """Hash of the settings: twelve hexadecimal digits."""
        canonical = json.dumps(self.settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return sha256(canonical.encode()).hexdigest()[:12]

    def folder(self, base_path: Path) -> Path:
        """Return the folder of the data set: ``<name>-<key>``, or the one that an older version has made of it.

        Older versions named classes by the files that define them, so their keys differ for equal settings.
        """
        own = base_path / f"{self.pde.dataset_name}-{self.key}"
        if own.exists():
            return own
        settings = json.loads(json.dumps(self.settings))
        for file in sorted(base_path.glob(f"{self.pde.dataset_name}-*/settings.json")):
            if _with_current_paths(_read_settings(file)) == settings:
                return file.parent
        return own

    def seeds(self, split: Split, parameter_set: int) -> list[int]:
        """Return the seeds of a split's trajectories; no two trajectories of the data set share one.

        They do not depend on the number of trajectories, so that a larger train split begins with the smaller one.
        """
        n_sets = len(self.pde.parameter_sets)
        first, step = SPLITS.index(split) + len(SPLITS) * parameter_set, len(SPLITS) * n_sets
        return trajectory_seeds(self.seed, (first + step * k for k in range(self.n_trajectories[split])))

    def files(self) -> Iterator[SimulatedFile]:
        """Yield all files of the data set, by set of parameters and then by split."""
        n_most = max(1, FILE_BYTES // trajectory_bytes(self.pde.schema))
        for parameter_set, parameters in enumerate(self.pde.parameter_sets):
            name = file_name(self.pde, parameters)
            for split in self.n_trajectories:
                seeds = self.seeds(split, parameter_set)
                for number, first in enumerate(range(0, len(seeds), n_most)):
                    part = f"_part_{number:05d}" if len(seeds) > n_most else ""
                    path = Path("data", split, f"{name.stem}{part}{name.suffix}")
                    yield SimulatedFile(path, parameter_set, tuple(seeds[first : first + n_most]))

    def batches(self, root: Path, device: str) -> list[SimulationBatch]:
        """Return the files that a folder lacks, in batches that are simulated at once."""
        size = trajectory_bytes(self.pde.schema)
        n_most = BATCH_BYTES.get(torch.device(device).type, FILE_BYTES) // size
        batches: list[SimulationBatch] = []
        missing = (file for file in self.files() if not (root / file.path).exists())
        for _, files in groupby(missing, key=lambda file: file.parameter_set):
            batch: list[SimulatedFile] = []
            for file in files:
                if batch and sum(len(other.seeds) for other in batch) + len(file.seeds) > n_most:
                    batches.append(self._batch(batch))
                    batch = []
                batch.append(file)
            batches.append(self._batch(batch))
        return batches

    def run(self, root: Path, device: str, n_processes: int = 1) -> None:
        """Simulate what is missing in a folder.

        Each file appears when it is complete; after an interruption the next run simulates the rest.

        Args:
            root: Folder of the data set; no other process may work in it at the same time.
            device: Device of the computation.
            n_processes: Processes that simulate side by side, each a batch with one thread.

        Raises:
            OSError: if the missing files do not fit onto the disk, or cannot be written.
            FloatingPointError: if a simulation fails.
        """
        batches = self.batches(root, device)
        if not batches:
            return
        self._begin(root, batches)
        begin = time.monotonic()
        with progress_bar(f"Simulating {self.pde.dataset_name}") as report:
            simulate_batches(batches, root, device, n_processes, report)
        logger.info("simulated %s in %s", root, duration(time.monotonic() - begin))

    def _batch(self, files: Sequence[SimulatedFile]) -> SimulationBatch:
        parameters = self.pde.parameter_sets[files[0].parameter_set]
        provenance = {"source": self.source, "settings": json.dumps(self.settings)}
        return SimulationBatch(self.pde, parameters, tuple(files), provenance)

    def _begin(self, root: Path, batches: Sequence[SimulationBatch]) -> None:
        """Remove leftovers of a killed run, check the free space, write the settings, and log the size."""
        for leftover in root.rglob(f".*{PART_SUFFIX}"):
            leftover.unlink()
        for statistics in root.glob("stats*.yaml"):  # of fewer files than there will be
            statistics.unlink()
        with atomic_file(root / "settings.json") as temporary:
            temporary.write_text(json.dumps(self.settings, indent=2) + "\n")
        n_trajectories = sum(batch.n_trajectories for batch in batches)
        n_files = sum(len(batch.files) for batch in batches)
        n_bytes = n_trajectories * trajectory_bytes(self.pde.schema)
        free = shutil.disk_usage(root).free
        size = f"{n_trajectories} trajectories in {n_files} files, {decimal(n_bytes)}"
        if n_bytes > free:
            raise OSError(
                errno.ENOSPC,
                f"cannot simulate {size}, in {root}: only {decimal(free)} are free there. Free some space, choose "
                "another base_path, or ask for fewer trajectories or a smaller grid",
            )
        logger.info("simulating %s, in %s (%s free)", size, root, decimal(free))


def _read_settings(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return None


def _with_current_paths(settings: Any) -> Any:
    """Return settings with every class named by its public path."""
    if isinstance(settings, list):
        return [_with_current_paths(value) for value in settings]
    if not isinstance(settings, dict):
        return settings
    paths = {key: current_path(path) for key, path in settings.items() if key in ("pde", "class")}
    return {key: _with_current_paths(value) for key, value in settings.items()} | paths
