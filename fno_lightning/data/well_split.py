"""The files of one split of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fno_lightning.data.hdf5_entry import WellFormatError
from fno_lightning.data.well_file import WellFile
from fno_lightning.data.well_metadata import read_well_file


def split_files(folder: Path, include_filters: Sequence[str] = (), exclude_filters: Sequence[str] = ()) -> list[Path]:
    """Returns the sorted paths of a split's files.

    Args:
        folder: The split's folder.
        include_filters: Parts of names, of which a file must have one; none: every file counts.
        exclude_filters: Parts of names, of which a file must have none.

    Raises:
        FileNotFoundError: if the folder is missing or no file is left.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}, expected one with .hdf5 or .h5 files: check base_path and dataset_name"
        )
    paths = sorted(path for pattern in ("*.hdf5", "*.h5") for path in folder.glob(pattern))
    chosen = [
        path
        for path in paths
        if (not include_filters or any(part in path.name for part in include_filters))
        and not any(part in path.name for part in exclude_filters)
    ]
    if not chosen:
        left_out = f" that include_filters and exclude_filters let through (of {len(paths)})" if paths else ""
        raise FileNotFoundError(f"{folder} holds no .hdf5 or .h5 file{left_out}, expected at least one")
    return chosen


def read_split(paths: Sequence[Path], reference: WellFile) -> list[WellFile]:
    """Reads the metadata of a split's files.

    Args:
        paths: The files.
        reference: What they must agree with.

    Raises:
        WellFormatError: if a file is not valid, or differs from the reference in grid, fields or scalars.
    """
    files = [read_well_file(path) for path in paths]
    for file in files:
        for noun, found, expected in (
            ("axes", file.axes, reference.axes),
            ("grid", file.grid_shape, reference.grid_shape),
            ("time-dependent fields", file.components(time_varying=True), reference.components(time_varying=True)),
            ("constant fields", file.components(time_varying=False), reference.components(time_varying=False)),
            ("scalars", tuple(file.scalars), tuple(reference.scalars)),
        ):
            if found != expected:
                raise WellFormatError(
                    f"{file.path} has the {noun} {found}, but {reference.path} has {expected}, and the files of a data "
                    "set must agree: leave one kind out with include_filters or exclude_filters"
                )
    return files
