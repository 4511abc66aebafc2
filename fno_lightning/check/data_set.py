"""Checks a data set: its splits, that its files agree, its statistics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fno_lightning.check.agreement import check_agreement, check_duplicates
from fno_lightning.check.file import check_file
from fno_lightning.check.findings import Fault, Severity
from fno_lightning.check.statistics import check_statistics
from fno_lightning.data.hdf5 import WellFile, read_well_file, split_files
from fno_lightning.progress import part_of, progress_bar


def check(paths: Sequence[str | Path]) -> list[Fault]:
    """Checks files and data sets, and returns all that is wrong with them.

    Args:
        paths: Files in The Well's format, folders of such files, and folders of data sets, which hold
            ``data/train``, ``data/valid`` and ``data/test``.

    Raises:
        FileNotFoundError: if there is no such path, or a folder holds neither files nor a data set.
    """
    faults: list[Fault] = []
    for path in map(Path, paths):
        if is_data_set(path):
            faults += check_data_set(path)
        elif path.is_dir():
            found, files = check_files(split_files(path))
            faults += [*found, *check_agreement(files), *check_duplicates({path.name: files})]
        else:
            faults += check_files([path])[0]
    return list(dict.fromkeys(faults))


def files_at(path: str | Path) -> list[Path]:
    """Returns the files that :func:`check` reads for a path.

    Raises:
        FileNotFoundError: if there is no such path, or a folder holds neither files nor a data set.
    """
    path = Path(path)
    if is_data_set(path):
        return [file for files in split_paths(path).values() for file in files]
    if path.is_dir():
        return split_files(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}, expected a file in The Well's format or a folder of such files")
    return [path]


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
