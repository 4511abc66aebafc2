"""A data set that an equation makes, file by file."""

from __future__ import annotations

import errno
import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from rich.filesize import decimal
from torch import Tensor

from fno_lightning.data.atomic_file import PART_SUFFIX, atomic_file
from fno_lightning.data.base import Split
from fno_lightning.data.progress import part_of, progress_bar
from fno_lightning.data.well_writer import trajectory_bytes, write_well_file
from fno_lightning.pdes import PDE, Trajectories
from fno_lightning.version import __version__

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
"""To be raised when the same settings begin to make other files."""


@dataclass(frozen=True)
class Simulation:
    """A data set that an equation makes: a file for each split and set of parameters.

    Args:
        pde: The equation.
        n_trajectories: Trajectories of each split for each set of parameters.
        seed: Selects the initial conditions.
    """

    pde: PDE
    n_trajectories: Mapping[Split, int]
    seed: int

    @property
    def source(self) -> str:
        """Where the data come from, for people to read."""
        return f"simulated: fno_lightning {__version__} {type(self.pde).__name__}"

    @property
    def settings(self) -> dict[str, Any]:
        """Every plain value that the files depend on."""
        return {
            "pde": f"{type(self.pde).__module__}.{type(self.pde).__qualname__}",
            "pde_settings": self.pde.settings,
            "n_trajectories": dict(self.n_trajectories),
            "seed": self.seed,
            "format_version": FORMAT_VERSION,
        }

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that tell these settings from any others."""
        canonical = json.dumps(self.settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return sha256(canonical.encode()).hexdigest()[:12]

    def seeds(self, split: Split, parameter_set: int) -> list[int]:
        """Returns the seeds of a file's trajectories; no two trajectories of the data set share one.

        They do not depend on the number of trajectories, so that a larger train split begins with the smaller one. All
        are below 2^32, because more bits are lost on generators such as the Mersenne Twister; multiplication by an odd
        number maps those integers one to one onto themselves.
        """
        offset = int(np.random.SeedSequence(self.seed).generate_state(1)[0])
        splits, n_sets = ("train", "valid", "test"), len(self.pde.parameter_sets)
        first, step = splits.index(split) + len(splits) * parameter_set, len(splits) * n_sets
        return [(offset + 2654435761 * (first + step * k)) % 2**32 for k in range(self.n_trajectories[split])]

    def run(self, root: Path, device: str) -> None:
        """Simulates what is missing in a folder, one set of parameters after the other.

        Each file appears when it is complete; after an interruption the next run simulates the rest.

        Args:
            root: Folder of the data set; no other process may work in it at the same time.
            device: Device of the computation.

        Raises:
            OSError: if the missing files do not fit onto the disk, or cannot be written.
            FloatingPointError: if a simulation fails.
        """
        missing = [self._missing(root, index) for index in range(len(self.pde.parameter_sets))]
        jobs = [(index, splits) for index, splits in enumerate(missing) if splits]
        if not jobs:
            return
        self._begin(root, [split for splits in missing for split in splits])
        begin = time.monotonic()
        with progress_bar(f"Simulating {self.pde.dataset_name}") as report:
            for number, (index, splits) in enumerate(jobs):
                self._simulate(root, index, splits, device, part_of(report, number, len(jobs)))
                report((number + 1) / len(jobs))
        logger.info("simulated %s in %.0f s", root, time.monotonic() - begin)

    def _path(self, root: Path, split: Split, parameter_set: int) -> Path:
        return root / "data" / split / self.pde.file_name(self.pde.parameter_sets[parameter_set])

    def _missing(self, root: Path, parameter_set: int) -> list[Split]:
        return [split for split in self.n_trajectories if not self._path(root, split, parameter_set).exists()]

    def _begin(self, root: Path, missing: Sequence[Split]) -> None:
        """Clears what a kill left behind, checks the free space and writes down the settings."""
        for leftover in root.rglob(f".*{PART_SUFFIX}"):
            leftover.unlink()
        with atomic_file(root / "settings.json") as temporary:
            temporary.write_text(json.dumps(self.settings, indent=2) + "\n")
        n_trajectories = sum(self.n_trajectories[split] for split in missing)
        n_bytes = n_trajectories * trajectory_bytes(self.pde.schema)
        free = shutil.disk_usage(root).free
        size = f"{n_trajectories} trajectories in {len(missing)} files, {decimal(n_bytes)}"
        if n_bytes > free:
            raise OSError(
                errno.ENOSPC,
                f"cannot simulate {size}, in {root}: only {decimal(free)} are free there. Free some space, choose "
                "another base_path, or ask for fewer trajectories or a smaller grid",
            )
        logger.info("simulating %s, in %s (%s free)", size, root, decimal(free))

    def _simulate(
        self, root: Path, parameter_set: int, missing: Sequence[Split], device: str, progress: Callable[[float], None]
    ) -> None:
        """Simulates one set of parameters for several splits as one batch, and writes a file for each."""
        parameters = self.pde.parameter_sets[parameter_set]
        seeds = {split: self.seeds(split, parameter_set) for split in missing}
        all_seeds = [seed for split in missing for seed in seeds[split]]
        trajectories = self.pde.simulate(parameters, all_seeds, device=device, progress=progress)
        first = 0
        for split in missing:
            last = first + len(seeds[split])
            write_well_file(
                self._path(root, split, parameter_set),
                _take(trajectories, slice(first, last)),
                dataset_name=self.pde.dataset_name,
                provenance={
                    "source": self.source,
                    "settings": json.dumps(self.settings),
                    "parameters": json.dumps(dict(parameters)),
                    "seeds": json.dumps(seeds[split]),
                    "created": datetime.now(UTC).isoformat(timespec="seconds"),
                },
            )
            first = last


def _take(trajectories: Trajectories, rows: slice) -> Trajectories:
    """Some trajectories of a batch."""

    def take(fields: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: values[rows] if values.ndim else values for name, values in fields.items()}

    return replace(
        trajectories,
        scalars=take(trajectories.scalars),
        scalar_fields=take(trajectories.scalar_fields),
        vector_fields=take(trajectories.vector_fields),
        constant_fields=take(trajectories.constant_fields),
    )
