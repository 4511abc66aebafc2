"""Checks the names, flags and shapes of the fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from fno_lightning.check.attributes import are_numbers, checked_flag, checked_flags, checked_listing, checked_names
from fno_lightning.check.dimensions import Dimensions
from fno_lightning.check.findings import Findings
from fno_lightning.data.hdf5 import WellField
from fno_lightning.data.hdf5.entry import Entry
from fno_lightning.data.hdf5.metadata import read_field

SAME = 1e-5
"""Relative difference of a parameter from the same in single precision and maybe a few digits less."""


def check_scalars(root: Entry, dimensions: Dimensions, findings: Findings) -> None:
    """Checks ``/scalars``, and ``simulation_parameters`` against it."""
    group = findings.attempt(root.group, "scalars")
    entries = checked_listing(group, findings) if group else []
    values = {entry.location: _check_scalar(entry, dimensions, findings) for entry in entries}
    _check_parameters(root, {place: value for place, value in values.items() if value is not None}, findings)


def _check_scalar(entry: Entry, dimensions: Dimensions, findings: Findings) -> np.ndarray | None:
    sample_varying = checked_flag(entry, "sample_varying", findings)
    time_varying = checked_flag(entry, "time_varying", findings)
    if sample_varying is None or time_varying is None or not are_numbers(entry, findings):
        return None
    expected = dimensions.shape(*["time"] * time_varying, sample_varying=sample_varying)
    if expected is not None:
        also = () if expected else ((1,),)  # The Well's documentation, against its files
        findings.attempt(entry.check_shape, expected, *also)
    return findings.attempt(entry.finite_values)


def _check_parameters(root: Entry, scalars: Mapping[str, np.ndarray], findings: Findings) -> None:
    group = root.handle.get("scalars")
    for name in checked_names(root, "simulation_parameters", findings) or ():
        if name not in root.handle.attrs:
            findings.error(root.location, f"names '{name}' in simulation_parameters, but has no such attribute: add it")
        if isinstance(group, h5py.Group) and name not in group:
            findings.warning(
                group.name, f"has no data set '{name}', which simulation_parameters names: readers do not see it"
            )
        place = f"/scalars/{name}"
        if name in root.handle.attrs and place in scalars:
            _compare(place, name, root.handle.attrs[name], scalars[place], findings)


def _compare(place: str, name: str, attribute: Any, values: np.ndarray, findings: Findings) -> None:
    stated, found = np.ravel(attribute), values.ravel()
    are_comparable = stated.dtype.kind in "fiub" and stated.size in (1, found.size)
    if not are_comparable or not np.allclose(found, stated, rtol=SAME, atol=0.0):
        shown = ", ".join(f"{value:.7g}" for value in found[:3])
        message = f"holds {shown}, but the root's attribute '{name}' is {attribute}: correct one of them"
        findings.error(place, message)


@dataclass(frozen=True)
class StoredField:
    """A field that is stored as its flags say.

    Attributes:
        entry: Its data set.
        field: What its flags and its shape say.
    """

    entry: Entry
    field: WellField


def check_fields(root: Entry, dimensions: Dimensions, findings: Findings) -> list[StoredField]:
    """Checks the groups of fields; returns the fields whose values can be told apart."""
    stored: list[StoredField] = []
    for order in range(3):
        group = findings.attempt(root.group, f"t{order}_fields")
        for entry in checked_listing(group, findings) if group else ():
            field = _check_field(entry, order, dimensions, findings)
            if field is not None:
                stored.append(StoredField(entry, field))
    _check_names(stored, findings)
    return stored


def _check_field(entry: Entry, order: int, dimensions: Dimensions, findings: Findings) -> WellField | None:
    n_dims = None if dimensions.axes is None else len(dimensions.axes)
    flags = (
        checked_flag(entry, "sample_varying", findings),
        checked_flag(entry, "time_varying", findings),
        checked_flags(entry, "dim_varying", n_dims, findings),
    )
    full_shape = dimensions.full_shape
    if None in flags or full_shape is None:
        return None
    field = findings.attempt(read_field, entry, order, dimensions.axes, full_shape)
    if field is not None and field.dtype != "float32":
        findings.warning(
            entry.location,
            f"holds values of type {field.dtype}, The Well's are float32: the_well's reader does not convert",
        )
    return field


def _check_names(stored: Sequence[StoredField], findings: Findings) -> None:
    """Checks that no two fields have a component of the same name, by which channels and statistics are told apart."""
    places: dict[str, str] = {}
    for item in stored:
        for component in item.field.components:
            place = places.setdefault(component, item.entry.location)
            if place != item.entry.location:
                findings.error(
                    item.entry.location, f"has the component '{component}', as has {place}: give one another name"
                )
