"""Check the names, flags and shapes of the fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from fno_lightning.check.attributes import are_numbers, checked_flag, checked_flags, checked_listing, checked_names
from fno_lightning.check.domain import Dimensions
from fno_lightning.check.report import Report
from fno_lightning.data.hdf5 import WellField
from fno_lightning.data.hdf5.entry import Entry
from fno_lightning.data.hdf5.metadata import read_field

SAME = 1e-5
"""Relative difference that rounding to single precision, and to few digits, may make in a parameter."""


def check_scalars(root: Entry, dimensions: Dimensions, report: Report) -> None:
    """Check ``/scalars``, and ``simulation_parameters`` against it."""
    group = report.attempt(root.group, "scalars")
    entries = checked_listing(group, report) if group else []
    values = {entry.location: _check_scalar(entry, dimensions, report) for entry in entries}
    _check_parameters(root, {location: value for location, value in values.items() if value is not None}, report)


def _check_scalar(entry: Entry, dimensions: Dimensions, report: Report) -> np.ndarray | None:
    sample_varying = checked_flag(entry, "sample_varying", report)
    time_varying = checked_flag(entry, "time_varying", report)
    if sample_varying is None or time_varying is None or not are_numbers(entry, report):
        return None
    expected = dimensions.shape(*["time"] * time_varying, sample_varying=sample_varying)
    if expected is not None:
        also = () if expected else ((1,),)  # The Well's documentation, against its files
        report.attempt(entry.check_shape, expected, *also)
    return report.attempt(entry.finite_values)


def _check_parameters(root: Entry, scalars: Mapping[str, np.ndarray], report: Report) -> None:
    group = root.handle.get("scalars")
    for name in checked_names(root, "simulation_parameters", report) or ():
        if name not in root.handle.attrs:
            report.error(root.location, f"names '{name}' in simulation_parameters, but has no such attribute: add it")
        if isinstance(group, h5py.Group) and name not in group:
            report.warning(
                group.name, f"has no data set '{name}', which simulation_parameters names: readers do not see it"
            )
        location = f"/scalars/{name}"
        if name in root.handle.attrs and location in scalars:
            _compare(location, name, root.handle.attrs[name], scalars[location], report)


def _compare(location: str, name: str, attribute: Any, values: np.ndarray, report: Report) -> None:
    stated, found = np.ravel(attribute), values.ravel()
    are_comparable = stated.dtype.kind in "fiub" and stated.size in (1, found.size)
    if not are_comparable or not np.allclose(found, stated, rtol=SAME, atol=0.0):
        shown = ", ".join(f"{value:.7g}" for value in found[:3])
        message = f"holds {shown}, but the root's attribute '{name}' is {attribute}: correct one of them"
        report.error(location, message)


@dataclass(frozen=True)
class StoredField:
    """A field that is stored in the shape that its flags imply.

    Attributes:
        entry: Its data set.
        field: Its flags and shape.
    """

    entry: Entry
    field: WellField


def check_fields(root: Entry, dimensions: Dimensions, report: Report) -> list[StoredField]:
    """Check the groups of fields; return those whose shape is sound."""
    stored: list[StoredField] = []
    for order in range(3):
        group = report.attempt(root.group, f"t{order}_fields")
        for entry in checked_listing(group, report) if group else ():
            field = _check_field(entry, order, dimensions, report)
            if field is not None:
                stored.append(StoredField(entry, field))
    _check_names(stored, report)
    return stored


def _check_field(entry: Entry, order: int, dimensions: Dimensions, report: Report) -> WellField | None:
    n_dims = None if dimensions.axes is None else len(dimensions.axes)
    flags = (
        checked_flag(entry, "sample_varying", report),
        checked_flag(entry, "time_varying", report),
        checked_flags(entry, "dim_varying", n_dims, report),
    )
    full_shape = dimensions.full_shape
    if None in flags or full_shape is None:
        return None
    field = report.attempt(read_field, entry, order, dimensions.axes, full_shape)
    if field is not None and field.dtype != "float32":
        report.warning(
            entry.location,
            f"holds values of type {field.dtype}, The Well's are float32: the_well's reader does not convert",
        )
    return field


def _check_names(stored: Sequence[StoredField], report: Report) -> None:
    """Check that no two fields have a component of the same name, by which channels and statistics are told apart."""
    locations: dict[str, str] = {}
    for item in stored:
        for component in item.field.components:
            location = locations.setdefault(component, item.entry.location)
            if location != item.entry.location:
                report.error(
                    item.entry.location, f"has the component '{component}', as has {location}: give one another name"
                )
