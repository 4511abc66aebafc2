"""Check the values of the fields in one scan: finite, not constant, no frame lost or repeated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Num

from fno_lightning.check.fields import StoredField
from fno_lightning.check.report import Report
from fno_lightning.data.hdf5 import WellField
from fno_lightning.data.hdf5.blocks import frame_blocks

LOST = "simulate or download the file again"

NEGLIGIBLE = 1e-3
"""Activity, relative to the largest of its trajectory, below which a field has all but come to rest."""


def check_values(stored: Sequence[StoredField], report: Report, progress: Callable[[float], None]) -> None:
    """Read all fields once and check their values.

    Args:
        stored: The fields.
        report: Receives the issues.
        progress: Called with the fraction that is done.
    """
    n_values = sum(item.entry.handle.size for item in stored)
    n_read = 0

    def count(n_new: int) -> None:
        nonlocal n_read
        n_read += n_new
        progress(n_read / n_values)

    scans = [scan for item in stored if (scan := report.attempt(scan_field, item, count)) is not None]
    for scan in scans:
        _check_finite(scan, report)
    varying = [scan for scan in scans if scan.field.time_varying]
    _check_dynamics(varying, report)
    for scan in varying:
        _check_uniform_frames(scan, report)
        _check_repeated_frames(scan, report)


@dataclass(eq=False)
class FieldScan:
    """Ranges and changes of a field; trajectories that share the field count as one.

    Attributes:
        location: The field's data set in the file.
        field: Its flags and shape.
        extent: Difference of the largest and the smallest value, ``(trajectory, frame, component)``; NaN where a frame
            is one point, or has values that are not finite.
        change: Largest change of a value from the frame before, ``(trajectory, frame - 1)``.
        n_nan: Number of values that are not a number.
        n_infinite: Number of infinite values.
        first_bad: Trajectory and frame of the first of them.
    """

    location: str
    field: WellField
    extent: np.ndarray
    change: np.ndarray
    n_nan: int = 0
    n_infinite: int = 0
    first_bad: tuple[int, int] | None = None

    def frame(self, trajectory: int, frame: int) -> str:
        """Name a frame by the numbers that the field has."""
        numbers = [f"trajectory {trajectory}"] * self.field.sample_varying + [
            f"frame {frame}"
        ] * self.field.time_varying
        return ", ".join(numbers) or "the only frame"

    def count(self, flagged: np.ndarray, first_frame: int = 0) -> str:
        """Describe the flagged frames, ``(trajectory, frame)``: their number, and the first of them."""
        trajectory, frame = np.argwhere(flagged)[0].tolist()
        first = self.frame(trajectory, frame + first_frame)
        return f"{flagged.sum()} of {self.extent[:, :, 0].size} frames (the first: {first})"


def scan_field(stored: StoredField, count: Callable[[int], None]) -> FieldScan:
    """Read a field in blocks of frames.

    Args:
        stored: The field.
        count: Called with the number of values of each block once it is done.

    Raises:
        EntryError: if it cannot be read.
    """
    field = stored.field
    n_trajectories = field.shape[0] if field.sample_varying else 1
    n_frames = field.shape[field.sample_varying] if field.time_varying else 1
    scan = FieldScan(
        location=stored.entry.location,
        field=field,
        extent=np.full((n_trajectories, n_frames, len(field.components)), np.nan),
        change=np.full((n_trajectories, n_frames - 1), np.nan),
    )
    for block in frame_blocks(stored.entry, field):
        new = block.frames[: block.n_new]
        _note_values(scan, block.trajectory, block.start, new)
        _note_changes(scan, block.trajectory, block.start, block.frames)
        count(new.size)
    return scan


def _note_values(scan: FieldScan, trajectory: int, start: int, frames: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        extent = frames.max(axis=1) - frames.min(axis=1)
    for index in np.flatnonzero(~np.isfinite(extent).all(axis=1)):
        n_nan, n_infinite = int(np.isnan(frames[index]).sum()), int(np.isinf(frames[index]).sum())
        scan.n_nan += n_nan
        scan.n_infinite += n_infinite
        if n_nan + n_infinite and scan.first_bad is None:
            scan.first_bad = (trajectory, start + int(index))
    if frames.shape[1] > 1:
        scan.extent[trajectory, start : start + len(frames)] = np.where(np.isfinite(extent), extent, np.nan)


def _note_changes(scan: FieldScan, trajectory: int, start: int, frames: np.ndarray) -> None:
    """Note the changes from the frame number ``start`` on."""
    with np.errstate(all="ignore"):
        change = np.abs(np.diff(frames, axis=0)).max(axis=(1, 2))
    scan.change[trajectory, start : start + len(change)] = np.where(np.isfinite(change), change, np.nan)


def find_frozen(activity: Num[np.ndarray, " frame"]) -> tuple[Bool[np.ndarray, " frame"], Bool[np.ndarray, " frame"]]:
    """Find the frames without activity, unless none has any, and distinguish lost frames from a steady state.

    Real fields come to rest gradually: a reaction dies out and its frames become equal to the last bit. Where activity
    ceases or begins from one frame to the next, a frame was written twice, or never.

    Args:
        activity: Measure of how a field varies in each frame, zero if not at all; NaN where that is not known.

    Returns:
        Frames in which activity is missing suddenly, and those in which it is missing gradually.
    """
    is_still = activity == 0
    sudden, gradual = np.zeros_like(is_still), np.zeros_like(is_still)
    if not is_still.any() or is_still.all():
        return sudden, gradual
    is_active = activity > NEGLIGIBLE * np.nanmax(activity)
    edges = np.flatnonzero(np.diff(np.pad(is_still, 1).astype(np.int8)))
    for begin, end in edges.reshape(-1, 2):
        neighbours = [is_active[index] for index in (begin - 1, end) if 0 <= index < len(activity)]
        (sudden if all(neighbours) else gradual)[begin:end] = True
    return sudden, gradual


def _frozen(activity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the frames without activity in each trajectory."""
    pairs = [find_frozen(trajectory) for trajectory in activity]
    return np.stack([sudden for sudden, _ in pairs]), np.stack([gradual for _, gradual in pairs])


def _check_finite(scan: FieldScan, report: Report) -> None:
    if scan.first_bad is None:
        return
    counts = ((scan.n_nan, "NaN"), (scan.n_infinite, "infinite"))
    found = " and ".join(f"{count} {kind}" for count, kind in counts if count)
    report.error(
        scan.location,
        f"holds values that are not finite: {found}, the first in {scan.frame(*scan.first_bad)}; {LOST}",
    )


def _check_dynamics(varying: Sequence[FieldScan], report: Report) -> None:
    """Check that in each trajectory some field varies in space, and some in time if there is more than one frame."""
    in_time = [(scan.change == 0).all(axis=1) for scan in varying if scan.change.size]
    in_space = [(scan.extent == 0).all(axis=(1, 2)) for scan in varying]
    for still, what in ((in_time, "changes in time"), (in_space, "varies in space")):
        is_dead = np.logical_and.reduce(np.broadcast_arrays(*still)) if still else np.zeros(1, dtype=bool)
        if is_dead.any():
            where = f"{is_dead.sum()} of {is_dead.size} trajectories (the first: {is_dead.argmax()})"
            report.error("/", f"has no time-dependent field that {what} in {where}: {LOST}")


def _check_uniform_frames(scan: FieldScan, report: Report) -> None:
    """Check that no frame of a component that varies has one value everywhere; the initial state may be at rest."""
    for index, component in enumerate(scan.field.components):
        extent = scan.extent[:, :, index]
        found = f"'{component}' has one value everywhere"
        if (extent == 0).all():
            report.warning(scan.location, f"{found}, in all trajectories and frames")
            continue
        whole = (extent == 0).all(axis=1, keepdims=True)
        sudden, gradual = _frozen(extent)
        initial = np.logical_and.accumulate(sudden, axis=1)
        lost, at_rest = sudden & ~initial, initial | gradual | whole
        if lost.any():
            report.error(scan.location, f"{found} in {scan.count(lost)}, next to frames in which it varies: {LOST}")
        if at_rest.any():
            report.warning(scan.location, f"{found} in {scan.count(at_rest)}: check that this is meant")


def _check_repeated_frames(scan: FieldScan, report: Report) -> None:
    """Check that no frame equals the one before, unless both are uniform, which is reported already."""
    is_still = scan.change == 0
    is_uniform = (scan.extent == 0).all(axis=2)
    is_reported = is_uniform[:, 1:] & is_uniform[:, :-1]
    if not (is_still & ~is_reported).any():
        return
    if is_still.all():
        report.warning(scan.location, "does not change in time, in no trajectory: store it with time_varying = False")
        return
    sudden, gradual = _frozen(scan.change)
    lost = sudden & ~is_reported
    at_rest = (gradual | is_still.all(axis=1, keepdims=True)) & ~is_reported
    found = "equals the frame before to the last bit"
    if lost.any():
        report.error(scan.location, f"{found} in {scan.count(lost, 1)}, next to frames that change: {LOST}")
    if at_rest.any():
        report.warning(scan.location, f"{found} in {scan.count(at_rest, 1)}: check that this is meant")
