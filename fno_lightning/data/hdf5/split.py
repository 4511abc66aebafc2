"""The files of one split of a data set."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from fno_lightning.data.hdf5.agreement import INTERVAL, Difference, differences
from fno_lightning.data.hdf5.entry import WellFormatError
from fno_lightning.data.hdf5.file import WellFile
from fno_lightning.data.hdf5.metadata import read_well_file
from fno_lightning.data.hdf5.points import time_text
from fno_lightning.data.windows import TrajectoryKey

logger = logging.getLogger(__name__)

UnevenTime: TypeAlias = Literal["refuse", "ignore"]


def is_data_file(path: Path) -> bool:
    """Whether a path is that of data: it ends in ``.hdf5`` or ``.h5``, in small letters or capitals, and is not hidden.

    Folders are none. A link to a file that is missing counts, so that reading it says so.
    """
    return path.suffix.lower() in (".hdf5", ".h5") and not path.name.startswith(".") and not path.is_dir()


def split_files(folder: Path, include_filters: Sequence[str] = (), exclude_filters: Sequence[str] = ()) -> list[Path]:
    """Return the sorted paths of a split's files, of which hidden ones are none (``._a.hdf5``, ``.nfs0001.hdf5``).

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
    paths = sorted(path for path in folder.iterdir() if is_data_file(path))
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
    """Read the metadata of a split's files.

    Frames at another interval than the reference's are only logged as a warning: some data sets of The Well keep the
    number of frames in a period, with the frequency among the scalars.

    Args:
        paths: The files.
        reference: The file that they must agree with.

    Raises:
        WellFormatError: if a file is not valid, or differs from the reference in axes, grid, boundaries, fields or
            scalars.
    """
    files = [read_well_file(path) for path in paths]
    intervals = []
    for file in files:
        for difference in differences(file, reference):
            if difference.severity == "error":
                raise _disagreement(file, reference, difference)
            if difference.noun == INTERVAL:
                intervals.append((file, difference))
    if intervals:
        _warn_of_interval(*intervals[0], reference)
    _warn_of_coordinates(files)
    return files


def require_one_time_step(files: Sequence[WellFile], uneven_time: UnevenTime = "refuse") -> None:
    """Check that the trajectories of each file have one time step, whatever windows are cut from them.

    Args:
        files: Metadata of the files.
        uneven_time: ``refuse``, or ``ignore``: a warning is logged instead.

    Raises:
        ValueError: if the frames of a file are at uneven times, or its trajectories have different time steps.
    """
    uneven = [(file, text) for file in files if (text := time_text(file.points["time"])) is not None]
    if not uneven:
        return
    file, text = uneven[0]
    others = f" (and {len(uneven) - 1} more)" if len(uneven) > 1 else ""
    found = f"{file.path} has {text}{others}, and one network cannot step them all, whatever dt_stride is"
    if uneven_time == "ignore":
        logger.warning("%s: uneven_time is 'ignore', so each frame is learned as the next of the one before", found)
        return
    raise ValueError(
        f"{found}: write the fields at even times, leave files out with exclude_filters, or, for a network that needs "
        "no time step, set uneven_time to 'ignore'"
    )


def long_trajectories(
    files: Sequence[WellFile], n_steps_input: int, n_steps_output: int, dt_stride: int
) -> list[TrajectoryKey]:
    """Return the trajectories of a split in the order of its files.

    Args:
        files: Metadata of the files.
        n_steps_input: Input frames of a window; 0 for a steady problem.
        n_steps_output: Output frames of a window.
        dt_stride: Distance between successive frames of a window.

    Raises:
        ValueError: if one of them is too short for a window, or depends on time in a steady problem.
    """
    n_needed = dt_stride * (n_steps_input + n_steps_output - 1) + 1
    keys = []
    for number, file in enumerate(files):
        if n_steps_input == 0 and file.n_frames > 1:
            raise ValueError(
                f"{file.path} has {file.n_frames} frames in time, but n_steps_input=0 is for steady problems, "
                "which have one: set n_steps_input to at least 1"
            )
        if file.n_frames < n_needed:
            raise ValueError(
                f"{file.path} has {file.n_frames} frames, but n_steps_input={n_steps_input}, n_steps_output="
                f"{n_steps_output} and dt_stride={dt_stride} need {n_needed}: reduce one of them, or "
                "leave the file out with exclude_filters"
            )
        keys += [TrajectoryKey(number, trajectory, file.n_frames) for trajectory in range(file.n_trajectories)]
    return keys


def selected_components(file: WellFile, names: Sequence[str] | None) -> tuple[str, ...]:
    """Return components of time-dependent fields in the order of the file.

    Args:
        file: Metadata of a file.
        names: Names of fields or of single components; ``None``: all.

    Raises:
        ValueError: if there is no such field or component.
    """
    known = {field.name: field.components for field in file.fields if field.time_varying}
    components = file.components(time_varying=True)
    if names is None:
        return components
    if unknown := [name for name in names if name not in known and name not in components]:
        raise ValueError(
            f"unknown fields {unknown}, expected names of {', '.join(known)} or of the components "
            f"{', '.join(components)} that {file.path} holds"
        )
    wanted = {component for name in names for component in known.get(name, (name,))}
    return tuple(component for component in components if component in wanted)


def _disagreement(file: WellFile, reference: WellFile, difference: Difference) -> WellFormatError:
    found, expected = (
        _range(value) if isinstance(value, np.ndarray) else value for value in (difference.found, difference.expected)
    )
    return WellFormatError(
        f"{file.path} has the {difference.noun} {found}, but {reference.path} has {expected}, and the files of a data "
        "set must agree: leave one kind out with include_filters or exclude_filters"
    )


def _range(points: np.ndarray) -> str:
    shown = ", ".join(f"{point:.7g}" for point in points[:2])
    return f"{shown}, ..., {points[-1]:.7g}" if len(points) > 2 else shown


def _warn_of_coordinates(files: Sequence[WellFile]) -> None:
    """Warn of the first file whose trajectories have different coordinates."""
    for file in files:
        for axis in file.axes:
            number = file.points[axis].differing_row()
            if number is not None:
                logger.warning(
                    "%s has other coordinates along %s in trajectory %d than in trajectory 0: a network does not see "
                    "coordinates, unless the file has them as a constant field too",
                    file.path,
                    axis,
                    number,
                )
                return


def _warn_of_interval(file: WellFile, difference: Difference, reference: WellFile) -> None:
    logger.warning(
        "%s has a frame every %.6g, but %s every %.6g: one network cannot step both unless the scalars tell them "
        "apart; leave one kind out with include_filters or exclude_filters",
        file.path,
        difference.found,
        reference.path,
        difference.expected,
    )
