"""Checks that the files of a data set can be used together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fno_lightning.data.check.fault import Fault, Severity
from fno_lightning.data.well_file import WellFile


class _Difference(NamedTuple):
    """Something in which a file differs from another one: where, what, and its value in each."""

    place: str
    noun: str
    found: object
    expected: object
    severity: Severity = "error"


def check_agreement(files: Sequence[WellFile]) -> list[Fault]:
    """Compares all files with the first."""
    faults = []
    for file in files[1:]:
        for place, noun, found, expected, severity in _differences(file, files[0]):
            message = f"has the {noun} {found}, but {files[0].path} has {expected}: the files of a data set must agree"
            faults.append(Fault(file.path, place, severity, message))
    return faults


def _differences(file: WellFile, other: WellFile) -> Iterator[_Difference]:
    moving, expected_moving = (item.components(time_varying=True) for item in (file, other))
    constant, expected_constant = (item.components(time_varying=False) for item in (file, other))
    pairs = (
        _Difference("/", "dataset_name", file.dataset_name, other.dataset_name, "warning"),
        _Difference("/dimensions", "axes", file.axes, other.axes),
        _Difference("/dimensions", "grid", file.grid_shape, other.grid_shape),
        _Difference("/boundary_conditions", "boundaries", file.boundaries, other.boundaries),
        _Difference("/", "time-dependent fields", moving, expected_moving),
        _Difference("/", "constant fields", constant, expected_constant),
        _Difference("/scalars", "constant scalars", tuple(file.scalars), tuple(other.scalars)),
        _Difference("/scalars", "time-dependent scalars", file.time_varying_scalars, other.time_varying_scalars),
    )
    yield from (pair for pair in pairs if pair.found != pair.expected)
    if (file.axes, file.grid_shape) == (other.axes, other.grid_shape):
        yield from _other_coordinates(file, other)
    yield from _other_interval(file, other)


def _other_coordinates(file: WellFile, other: WellFile) -> Iterator[_Difference]:
    for axis, points, expected in zip(file.axes, file.coordinates, other.coordinates, strict=True):
        error = np.abs(points - expected)
        index = int(error.argmax())
        # Coordinates in single precision that were computed in different ways differ in the last digits.
        if error[index] > 1e-5 * max(float(np.ptp(expected)), abs(float(expected[index]))):
            noun = f"coordinate number {index}"
            yield _Difference(f"/dimensions/{axis}", noun, f"{points[index]:.7g}", f"{expected[index]:.7g}")


def _other_interval(file: WellFile, other: WellFile) -> Iterator[_Difference]:
    """Only a warning: some data sets keep the number of frames in a period, with the frequency among the scalars."""
    if min(file.n_frames, other.n_frames) < 2:
        return
    found, expected = file.frame_interval, other.frame_interval
    if abs(found - expected) > 1e-3 * abs(expected):
        yield _Difference("/dimensions/time", "frame interval", f"{found:.6g}", f"{expected:.6g}", "warning")
