"""Checks a data set: its splits, that its files agree, its statistics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fno_lightning.data.check.agreement import check_agreement
from fno_lightning.data.check.duplicates import check_duplicates
from fno_lightning.data.check.fault import Fault, Severity
from fno_lightning.data.check.file import check_file
from fno_lightning.data.check.statistics import check_statistics
from fno_lightning.data.progress import part_of, progress_bar
from fno_lightning.data.well_file import WellFile
from fno_lightning.data.well_metadata import read_well_file
from fno_lightning.data.well_split import split_files

SPLITS: dict[str, Severity] = {"train": "error", "valid": "error", "test": "warning"}
"""The splits of a data set, and how serious it is to lack one."""


def check_data_set(folder: str | Path) -> list[Fault]:
    """Checks all files of a data set, that they agree and do not repeat each other, and the statistics.

    Args:
        folder: The folder that holds ``data/train``, ``data/valid``, ``data/test`` and ``stats.yaml``.

    Raises:
        FileNotFoundError: if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}, expected one that holds data/train and data/valid")
    paths = split_paths(folder)
    faults = [_missing(folder, split) for split, files in paths.items() if not files]
    found, files = check_files([path for files in paths.values() for path in files])
    by_split = {split: [file for file in files if file.path in paths[split]] for split in paths}
    faults += [*found, *check_agreement(files), *check_duplicates(by_split)]
    if by_split["train"]:
        is_complete = len(by_split["train"]) == len(paths["train"])
        faults += check_statistics(folder / "stats.yaml", by_split["train"], compare=is_complete)
    return faults


def check_files(paths: Sequence[Path]) -> tuple[list[Fault], list[WellFile]]:
    """Checks files one by one; returns their faults, and the metadata of those that can be read."""
    faults: list[Fault] = []
    files = []
    with progress_bar("Checking files") as report:
        for number, path in enumerate(paths):
            faults += check_file(path, part_of(report, number, len(paths)))
            try:
                files.append(read_well_file(path))
            except (ValueError, TypeError, OSError, RuntimeError):
                continue  # the faults say why
    return faults, files


def is_data_set(folder: Path) -> bool:
    """Whether a folder is meant as one of a data set."""
    return (folder / "data").is_dir()


def split_paths(folder: Path) -> dict[str, list[Path]]:
    """Returns the files of each split, none where there are none."""
    paths = {}
    for split in SPLITS:
        try:
            paths[split] = split_files(folder / "data" / split)
        except FileNotFoundError:
            paths[split] = []
    return paths


def _missing(folder: Path, split: str) -> Fault:
    message = "holds no .hdf5 or .h5 file, expected at least one"
    if not (folder / "data" / split).is_dir():
        others = sorted(path.name for path in (folder / "data").glob("*") if path.is_dir() and path.name not in SPLITS)
        hint = f"; there is {', '.join(others)}, and names count" if others else ""
        message = f"is missing, expected a folder with .hdf5 or .h5 files{hint}"
    return Fault(folder, f"data/{split}", SPLITS[split], message)
