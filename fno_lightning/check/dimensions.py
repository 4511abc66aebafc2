"""Checks the axes, their coordinates and the times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fno_lightning.check.attributes import are_numbers, checked_count, checked_flag, checked_names
from fno_lightning.check.findings import Findings
from fno_lightning.data.hdf5.entry import Entry
from fno_lightning.data.hdf5.metadata import read_coordinates


@dataclass(frozen=True)
class Dimensions:
    """What is known about the axes of a file, whose faults may hide some of it.

    Attributes:
        n_trajectories: Number of trajectories.
        axes: Name of each spatial axis.
        lengths: Number of frames, as ``time``, and of points along each axis.
    """

    n_trajectories: int | None
    axes: tuple[str, ...] | None
    lengths: Mapping[str, int]

    @property
    def full_shape(self) -> tuple[int, ...] | None:
        """Number of trajectories, of frames and of points along each axis."""
        return None if self.axes is None else self.shape("time", *self.axes, sample_varying=True)

    def shape(self, *names: str, sample_varying: bool) -> tuple[int, ...] | None:
        """Shape of something that varies along some dimensions, and maybe from trajectory to trajectory."""
        lengths = [self.n_trajectories] if sample_varying else []
        lengths += [self.lengths.get(name) for name in names]
        known = tuple(length for length in lengths if length is not None)
        return known if len(known) == len(lengths) else None


def check_dimensions(root: Entry, findings: Findings) -> Dimensions:
    """Checks ``/dimensions`` and the counts that the root states."""
    n_trajectories = checked_count(root, "n_trajectories", findings)
    n_dims = checked_count(root, "n_spatial_dims", findings)
    group = findings.attempt(root.group, "dimensions")
    axes = checked_names(group, "spatial_dims", findings) if group else None
    if group is None or axes is None:
        return Dimensions(n_trajectories, None, {})
    if n_dims not in (None, len(axes)):
        findings.error(
            root.location, f"has n_spatial_dims = {n_dims}, but /dimensions names the axes {axes}: correct one of them"
        )
    if len({"time", *axes}) != len(axes) + 1:
        findings.error(group.location, f"has spatial_dims {axes}, expected a name of its own for each axis")
    for name in group.handle:
        if name not in ("time", *axes):
            findings.warning(group.location, f"holds '{name}', which is not among the axes {axes} in spatial_dims")
    lengths = {name: _check_points(group, name, n_trajectories, findings) for name in ("time", *axes)}
    return Dimensions(n_trajectories, axes, {name: length for name, length in lengths.items() if length})


def _check_points(group: Entry, name: str, n_trajectories: int | None, findings: Findings) -> int | None:
    """Checks times or coordinates; returns the number of points."""
    entry = findings.attempt(group.dataset, name)
    if entry is None:
        return None
    sample_varying = checked_flag(entry, "sample_varying", findings)
    _check_time_flag(entry, name, findings)
    if sample_varying is None or not are_numbers(entry, findings):
        return None
    n_rows = n_trajectories or max(1, *entry.shape[:1])
    if findings.attempt(read_coordinates, group, name, n_rows) is None:
        return entry.shape[0] if len(entry.shape) == 1 and entry.shape[0] else None
    if sample_varying and len(entry.shape) == 1:
        findings.error(
            entry.location, f"is sample_varying, but has the shape {entry.shape}: correct the flag or the data"
        )
    _check_order(entry, name, findings)
    return entry.shape[-1]


def _check_time_flag(entry: Entry, name: str, findings: Findings) -> None:
    if "time_varying" not in entry.handle.attrs:
        findings.warning(entry.location, "has no attribute 'time_varying', which strict readers require: add it")
    elif checked_flag(entry, "time_varying", findings) is (name != "time"):
        findings.warning(entry.location, f"has time_varying = {name != 'time'}, expected {name == 'time'}")


def _check_order(entry: Entry, name: str, findings: Findings) -> None:
    """Checks that times increase, and that coordinates do not turn."""
    for trajectory, points in enumerate(np.atleast_2d(entry.finite_values())):
        steps = np.diff(points)
        is_decreasing = name != "time" and len(steps) > 0 and steps[0] < 0
        wrong = np.flatnonzero(steps >= 0 if is_decreasing else steps <= 0)
        if wrong.size:
            index = int(wrong[0])
            rule = "times that increase" if name == "time" else "coordinates that only increase or only decrease"
            of = f" of trajectory {trajectory}" if len(entry.shape) == 2 else ""
            findings.error(
                entry.location,
                f"holds {points[index]:.7g} at index {index}{of}, then {points[index + 1]:.7g}, expected {rule}: "
                "simulate or download the file again",
            )
            return
