"""Check the domain: axes, coordinates, times and boundary conditions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fno_lightning.check.attributes import are_numbers, checked_count, checked_flag, checked_names, checked_text
from fno_lightning.check.report import Report
from fno_lightning.data.hdf5.boundaries import BoundaryCondition, read_axes, read_kind, read_mask
from fno_lightning.data.hdf5.entry import Entry
from fno_lightning.data.hdf5.metadata import read_points
from fno_lightning.data.hdf5.points import Points, time_text, uneven_text


@dataclass(frozen=True)
class Dimensions:
    """Known sizes of a file, whose errors may hide some of them.

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
        """Return the shape of something that varies along some dimensions, and maybe from trajectory to trajectory."""
        lengths = [self.n_trajectories] if sample_varying else []
        lengths += [self.lengths.get(name) for name in names]
        known = tuple(length for length in lengths if length is not None)
        return known if len(known) == len(lengths) else None


def check_dimensions(root: Entry, report: Report) -> Dimensions:
    """Check ``/dimensions`` and the counts in the root's attributes."""
    n_trajectories = checked_count(root, "n_trajectories", report)
    n_dims = checked_count(root, "n_spatial_dims", report)
    group = report.attempt(root.group, "dimensions")
    axes = checked_names(group, "spatial_dims", report) if group else None
    if group is None or axes is None:
        return Dimensions(n_trajectories, None, {})
    if n_dims not in (None, len(axes)):
        report.error(
            root.location, f"has n_spatial_dims = {n_dims}, but /dimensions names the axes {axes}: correct one of them"
        )
    if len({"time", *axes}) != len(axes) + 1:
        report.error(group.location, f"has spatial_dims {axes}, expected a name of its own for each axis")
    for name in group.handle:
        if name not in ("time", *axes):
            report.warning(group.location, f"holds '{name}', which is not among the axes {axes} in spatial_dims")
    lengths = {name: _check_points(group, name, n_trajectories, report) for name in ("time", *axes)}
    return Dimensions(n_trajectories, axes, {name: length for name, length in lengths.items() if length})


def _check_points(group: Entry, name: str, n_trajectories: int | None, report: Report) -> int | None:
    """Check times or coordinates; return the number of points."""
    entry = report.attempt(group.dataset, name)
    if entry is None:
        return None
    sample_varying = checked_flag(entry, "sample_varying", report)
    _check_time_flag(entry, name, report)
    if sample_varying is None or not are_numbers(entry, report):
        return None
    n_rows = n_trajectories or max(1, *entry.shape[:1])
    points = report.attempt(read_points, group, name, n_rows)
    if points is None:
        return entry.shape[0] if len(entry.shape) == 1 and entry.shape[0] else None
    if sample_varying and len(entry.shape) == 1:
        report.error(
            entry.location, f"is sample_varying, but has the shape {entry.shape}: correct the flag or the data"
        )
    if _check_order(entry, name, points, report):
        _check_spacing(entry, name, points, report)
    return entry.shape[-1]


def _check_time_flag(entry: Entry, name: str, report: Report) -> None:
    if "time_varying" not in entry.handle.attrs:
        report.warning(entry.location, "has no attribute 'time_varying', which strict readers require: add it")
    elif checked_flag(entry, "time_varying", report) is (name != "time"):
        report.warning(entry.location, f"has time_varying = {name != 'time'}, expected {name == 'time'}")


def _check_order(entry: Entry, name: str, points: Points, report: Report) -> bool:
    """Check that times increase, and that coordinates are monotonic; return whether they do."""
    for trajectory, row in enumerate(points.rows):
        steps = np.diff(row)
        is_decreasing = name != "time" and len(steps) > 0 and steps[0] < 0
        wrong = np.flatnonzero(steps >= 0 if is_decreasing else steps <= 0)
        if wrong.size:
            index = int(wrong[0])
            rule = "times that increase" if name == "time" else "coordinates that only increase or only decrease"
            of = f" of trajectory {trajectory}" if len(entry.shape) == 2 else ""
            report.error(
                entry.location,
                f"holds {row[index]:.7g} at index {index}{of}, then {row[index + 1]:.7g}, expected {rule}: "
                "simulate or download the file again",
            )
            return False
    return True


def _check_spacing(entry: Entry, name: str, points: Points, report: Report) -> None:
    """Check that there is one time step, and that coordinates are even and the same in all trajectories."""
    if name == "time":
        found = time_text(points)
        if found is not None:
            report.warning(entry.location, f"has {found}: fit refuses the file unless uneven_time is 'ignore'")
        return
    found = uneven_text(points)
    if found is not None:
        report.warning(
            entry.location,
            f"holds points that are not evenly spaced, {found}: fit refuses them for networks that need even points, "
            "such as FNOModule, unless it brings the fields to even ones with resample: uniform",
        )
    number = points.differing_row()
    if number is not None:
        report.warning(
            entry.location,
            f"holds other coordinates in trajectory {number} than in trajectory 0: fit warns of it, for a network does "
            "not see coordinates",
        )


def check_boundaries(root: Entry, dimensions: Dimensions, report: Report) -> None:
    """Check ``/boundary_conditions``."""
    group = report.attempt(root.group, "boundary_conditions")
    if group is None:
        return
    stated: set[str] = set()
    conditions = []
    for name in group.handle:
        entry = report.attempt(group.group, name)
        axes = _check_axes(entry, dimensions, report) if entry else None
        stated.update(dimensions.axes or () if axes is None else axes)  # a faulty condition may be for any axis
        condition = _check_condition(entry, axes, dimensions, report) if entry else None
        if condition is not None:
            conditions.append(condition)
    for axis in dimensions.axes or ():
        if axis not in stated:
            report.warning(group.location, f"has no condition for the axis {axis}: readers take both its sides as OPEN")
    _check_claims(conditions, report)
    _check_periods(conditions, report)


def _check_axes(entry: Entry, dimensions: Dimensions, report: Report) -> tuple[str, ...] | None:
    if checked_names(entry, "associated_dims", report) is None or dimensions.axes is None:
        return None
    return report.attempt(read_axes, entry, dimensions.axes)


def _check_condition(
    entry: Entry, axes: tuple[str, ...] | None, dimensions: Dimensions, report: Report
) -> BoundaryCondition | None:
    kind = report.attempt(read_kind, entry) if checked_text(entry, "bc_type", report) is not None else None
    fields = checked_names(entry, "associated_fields", report)
    sample_varying = checked_flag(entry, "sample_varying", report)
    time_varying = checked_flag(entry, "time_varying", report)
    dataset = report.attempt(entry.dataset, "mask")
    if dataset is None or axes is None or not set(axes) <= set(dimensions.lengths):
        return None
    mask = report.attempt(read_mask, entry, axes, dimensions.lengths)
    if mask is None or sample_varying is None or time_varying is None:
        return None
    expected = dimensions.shape(*["time"] * time_varying, *axes, sample_varying=sample_varying)
    if not _check_mask(dataset, mask, axes, expected, report) or kind is None:
        return None
    condition = BoundaryCondition(entry.location, kind, axes, mask, frozenset(fields or ()))
    _check_interior(condition, report)
    return condition


def _check_mask(
    dataset: Entry, mask: np.ndarray, axes: tuple[str, ...], expected: tuple[int, ...] | None, report: Report
) -> bool:
    """Check the shape of a mask against the flags, and that it is true somewhere; return whether it is sound."""
    if expected is not None and dataset.shape != expected:
        report.error(
            dataset.location,
            f"has the shape {dataset.shape}, expected {expected} for the axes {axes}: correct the mask",
        )
        return False
    if not mask.any():
        report.error(
            dataset.location,
            f"is false everywhere, so that readers take the sides of {', '.join(axes)} as OPEN: set it true in the "
            "first or the last cell, or delete the condition",
        )
        return False
    return True


def _check_interior(condition: BoundaryCondition, report: Report) -> None:
    """Check that a condition on one axis holds at its ends; walls may also be obstacles within."""
    inside = condition.mask[1:-1] if len(condition.axes) == 1 else np.zeros(0, dtype=bool)
    if not inside.any():
        return
    location, axis = f"{condition.location}/mask", condition.axes[0]
    found = f"is true in {inside.sum()} of {inside.size} cells inside the axis {axis}"
    if condition.kind == "WALL":
        report.warning(location, f"{found}: readers see walls only at the ends")
    else:
        report.error(
            location, f"{found}, but {condition.kind} can only hold at the first and the last: correct the mask"
        )


def _check_claims(conditions: Sequence[BoundaryCondition], report: Report) -> None:
    """Check that no side has two conditions."""
    for first, second in itertools.combinations(conditions, 2):
        if not first.shares_fields(second):
            continue
        is_surely_wrong = first.kind != second.kind and len(first.axes) == len(second.axes) == 1
        for axis, side in sorted(first.sides() & second.sides()):
            (report.error if is_surely_wrong else report.warning)(
                second.location,
                f"claims the {side} side of {axis} as {second.kind}, but {first.location} claims it as {first.kind}: "
                "keep one of them",
            )


def _check_periods(conditions: Sequence[BoundaryCondition], report: Report) -> None:
    """Check that no side is periodic without the opposite one."""
    periodic: dict[str, list[tuple[str, str]]] = {}
    for condition in conditions:
        if condition.kind == "PERIODIC" and len(condition.axes) == 1:
            sides = [(side, condition.location) for _, side in condition.sides()]
            periodic.setdefault(condition.axes[0], []).extend(sides)
    for axis, claims in periodic.items():
        if len({side for side, _ in claims}) == 1:
            side, location = claims[0]
            report.error(
                location,
                f"is PERIODIC at the {side} side of {axis} only, but the sides of a period are one: correct the mask",
            )
