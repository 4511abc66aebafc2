"""Check that the grid holds each point of a period once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fno_lightning.check.domain import Dimensions
from fno_lightning.check.fields import StoredField
from fno_lightning.check.report import Report
from fno_lightning.data.hdf5.boundaries import read_boundaries
from fno_lightning.data.hdf5.entry import Entry

SAME = 1e-2
"""Largest difference between the ends of a period, relative to that of neighbours, with which they are one point."""


def check_repeated_points(root: Entry, dimensions: Dimensions, stored: Sequence[StoredField], report: Report) -> None:
    """Warn of periodic axes whose last point repeats the first, as in ``linspace(0, period, n)``.

    The first and the last frame of the first and the last trajectory are looked at. Frames that are symmetric about the
    middle of the axis show nothing, for their ends are equal on any grid.

    Args:
        root: Root of a file without errors.
        dimensions: Its sizes.
        stored: Its fields.
        report: Receives the issues.
    """
    axes = dimensions.axes or ()
    sides = read_boundaries(root.group("boundary_conditions"), {axis: dimensions.lengths[axis] for axis in axes})
    for number, (axis, conditions) in enumerate(zip(axes, sides, strict=True)):
        if conditions != ("periodic", "periodic") or dimensions.lengths[axis] < 4:
            continue
        fields = [item for item in stored if item.field.grid[number] > 1]
        repeats = {_repeats(planes) for item in fields for planes in _ends(item, number)} - {None}
        if repeats == {True}:
            report.warning(
                f"/dimensions/{axis}",
                "is periodic, but the fields at its last point are those at its first, so that the period seems to "
                "hold one point twice: write the file without the last point",
            )


def _ends(item: StoredField, axis: int) -> Iterator[np.ndarray]:
    """Yield the two first and the two last planes of frames along an axis, ``(plane, value)``."""
    field = item.field
    for trajectory in (0, -1) if field.sample_varying else (0,):
        for frame in (0, -1) if field.time_varying else (0,):
            index = (trajectory,) * field.sample_varying + (frame,) * field.time_varying
            values = np.asarray(item.entry.handle[index], dtype=np.float64).reshape(*field.grid, -1)
            yield np.moveaxis(values.take((0, 1, -2, -1), axis=axis), axis, 0).reshape(4, -1)


def _repeats(planes: np.ndarray) -> bool | None:
    """Whether the last plane repeats the first; ``None`` if these planes do not tell."""
    first, second, last_but_one, last = planes
    change = np.abs(second - first).max()
    if change == 0 or np.abs(last_but_one - second).max() <= SAME * change:
        return None
    return bool(np.abs(last - first).max() <= SAME * change)
