"""Checks whatever paths lead to: files, folders of files and data sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fno_lightning.data.check.agreement import check_agreement
from fno_lightning.data.check.data_set import check_data_set, check_files, is_data_set, split_paths
from fno_lightning.data.check.duplicates import check_duplicates
from fno_lightning.data.check.fault import Fault
from fno_lightning.data.well_split import split_files


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
