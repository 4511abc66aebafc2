"""Differences between two files that ought to belong to one data set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from fno_lightning.data.hdf5.file import WellFile
from fno_lightning.data.hdf5.points import same_interval, same_points

INTERVAL = "frame interval"


class Difference(NamedTuple):
    """A property in which a file differs from the reference.

    Attributes:
        location: Path of the property inside the file.
        noun: Name of the property.
        found: Its value in the file; the coordinates of an axis as an array.
        expected: Its value in the reference.
        severity: ``error`` if the files cannot be used together, ``warning`` if the difference may be meant.
    """

    location: str
    noun: str
    found: object
    expected: object
    severity: Literal["error", "warning"] = "error"


def differences(file: WellFile, reference: WellFile) -> Iterator[Difference]:
    """Yield every property in which a file differs from the reference.

    The reader of a split raises the first error among them, the checker lists all. A difference in the frame interval
    is a warning, because some data sets of The Well keep the number of frames in a period, with the frequency among the
    scalars.
    """
    varying, expected_varying = (item.components(time_varying=True) for item in (file, reference))
    constant, expected_constant = (item.components(time_varying=False) for item in (file, reference))
    pairs = (
        Difference("/", "dataset_name", file.dataset_name, reference.dataset_name, "warning"),
        Difference("/dimensions", "axes", file.axes, reference.axes),
        Difference("/dimensions", "grid", file.grid_shape, reference.grid_shape),
        Difference("/boundary_conditions", "boundaries", file.boundaries, reference.boundaries),
        Difference("/", "time-dependent fields", varying, expected_varying),
        Difference("/", "constant fields", constant, expected_constant),
        Difference("/scalars", "scalars", tuple(file.scalars), tuple(reference.scalars)),
        Difference("/scalars", "time-dependent scalars", file.time_varying_scalars, reference.time_varying_scalars),
    )
    yield from (pair for pair in pairs if pair.found != pair.expected)
    if (file.axes, file.grid_shape) == (reference.axes, reference.grid_shape):
        yield from _coordinate_differences(file, reference)
    if min(file.n_frames, reference.n_frames) >= 2:
        found, expected = file.frame_interval, reference.frame_interval
        if not same_interval(found, expected):
            yield Difference("/dimensions/time", INTERVAL, found, expected, "warning")


def _coordinate_differences(file: WellFile, reference: WellFile) -> Iterator[Difference]:
    """Yield the axes whose coordinates differ by more than the rounding errors of single precision."""
    for axis, found, expected in zip(file.axes, file.coordinates, reference.coordinates, strict=True):
        location = f"/dimensions/{axis}"
        if not same_points(found, expected):
            yield Difference(location, f"{axis} coordinates", found, expected)
            continue
        uneven = [item.points[axis].uneven_row() for item in (file, reference)]
        if uneven[0] is not None and uneven[1] is None:
            yield Difference(location, f"{axis} coordinates", f"uneven points in trajectory {uneven[0]}", "even ones")
