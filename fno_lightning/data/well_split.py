"""The files of one split of a data set."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fno_lightning.data.hdf5_entry import WellFormatError
from fno_lightning.data.well_file import WellFile
from fno_lightning.data.well_metadata import read_well_file

logger = logging.getLogger(__name__)


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

    Frames that do not follow at the same interval as the reference's are only warned of: some data sets of The Well
    keep the number of frames in a period, with the frequency among the scalars.

    Args:
        paths: The files.
        reference: What they must agree with.

    Raises:
        WellFormatError: if a file is not valid, or differs from the reference in axes, grid, boundaries, fields or
            scalars.
    """
    files = [read_well_file(path) for path in paths]
    for file in files:
        for noun, found, expected in (
            ("axes", file.axes, reference.axes),
            ("grid", file.grid_shape, reference.grid_shape),
            ("boundaries", file.boundaries, reference.boundaries),
            ("time-dependent fields", file.components(time_varying=True), reference.components(time_varying=True)),
            ("constant fields", file.components(time_varying=False), reference.components(time_varying=False)),
            ("scalars", tuple(file.scalars), tuple(reference.scalars)),
        ):
            if found != expected:
                raise _disagreement(file, reference, noun, found, expected)
        for axis, points, expected_points in zip(file.axes, file.coordinates, reference.coordinates, strict=True):
            if not np.allclose(points, expected_points, rtol=1e-5, atol=1e-5 * np.ptp(expected_points)):
                raise _disagreement(file, reference, f"{axis} coordinates", _range(points), _range(expected_points))
    _warn_of_other_intervals(files, reference)
    return files


def _disagreement(file: WellFile, reference: WellFile, noun: str, found: object, expected: object) -> WellFormatError:
    return WellFormatError(
        f"{file.path} has the {noun} {found}, but {reference.path} has {expected}, and the files of a data set must "
        "agree: leave one kind out with include_filters or exclude_filters"
    )


def _range(points: np.ndarray) -> str:
    shown = ", ".join(f"{point:.7g}" for point in points[:2])
    return f"{shown}, ..., {points[-1]:.7g}" if len(points) > 2 else shown


def _warn_of_other_intervals(files: Sequence[WellFile], reference: WellFile) -> None:
    """Names the first file whose frames follow at another interval."""
    for file in files:
        if min(file.n_frames, reference.n_frames) < 2:
            continue
        found, expected = file.frame_interval, reference.frame_interval
        if abs(found - expected) > 1e-3 * abs(expected):
            logger.warning(
                "%s has a frame every %.6g, but %s every %.6g: one network cannot step both unless the scalars tell "
                "them apart; leave one kind out with include_filters or exclude_filters",
                file.path,
                found,
                reference.path,
                expected,
            )
            return
