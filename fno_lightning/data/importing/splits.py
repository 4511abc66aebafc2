"""Whole trajectories shared out among the splits of a data set."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from fno_lightning.data.batch import SPLITS, Split
from fno_lightning.data.hdf5 import write_well_file
from fno_lightning.data.hdf5.writer import n_trajectories, trajectory_bytes
from fno_lightning.data.importing.layout import select
from fno_lightning.files import PART_SUFFIX
from fno_lightning.pdes import Trajectories

BYTES_OF_FILE = 1 << 30
"""Largest file, if it holds more than one trajectory."""


def split_trajectories(n_trajectories: int, parts: Sequence[float], seed: int) -> dict[Split, list[int]]:
    """Share trajectories out at random, each split at least one.

    Args:
        n_trajectories: How many there are.
        parts: Of train, valid and test, in any unit.
        seed: Decides which.

    Raises:
        ValueError: if there are fewer than splits, or ``parts`` are not three positive numbers.
    """
    if len(parts) != len(SPLITS) or min(parts) <= 0:
        raise ValueError(f"--split {list(parts)}: expected three positive numbers, of train, valid and test")
    if n_trajectories < len(SPLITS):
        raise ValueError(
            f"there are {n_trajectories} trajectories, but train, valid and test need one each, for the frames of one "
            "must not lie in two of them"
        )
    shares = [max(1, round(part / sum(parts) * n_trajectories)) for part in parts]
    shares[0] = n_trajectories - shares[1] - shares[2]
    while shares[0] < 1:
        largest = shares.index(max(shares))
        shares[largest] -= 1
        shares[0] += 1
    order = torch.randperm(n_trajectories, generator=torch.Generator().manual_seed(seed)).tolist()
    ends = [sum(shares[: i + 1]) for i in range(len(shares))]
    return {split: sorted(order[end - share : end]) for split, share, end in zip(SPLITS, shares, ends, strict=True)}


def write_splits(folder: Path, splits: Mapping[Split, Trajectories], name: str, provenance: Mapping[str, str]) -> None:
    """Write a data set, all of it or nothing.

    Args:
        folder: The data set's folder, which must not exist.
        splits: Trajectories of each split.
        name: Name of the data set.
        provenance: Origin of the data, see :func:`~fno_lightning.data.write_well_file`.

    Raises:
        FileExistsError: if the folder exists.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists already and is not overwritten: choose another name")
    unfinished = folder.with_name(f".{folder.name}{PART_SUFFIX}")
    shutil.rmtree(unfinished, ignore_errors=True)  # what an import that was killed has left
    try:
        for split, trajectories in splits.items():
            n = n_trajectories(trajectories)
            of_file = max(1, int(BYTES_OF_FILE * n // max(1, trajectory_bytes(trajectories))))
            for number, first in enumerate(range(0, n, of_file)):
                part = select(trajectories, range(first, min(n, first + of_file)))
                file = unfinished / "data" / split / f"{name}_{number:03d}.hdf5"
                write_well_file(file, part, dataset_name=name, provenance=provenance)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
