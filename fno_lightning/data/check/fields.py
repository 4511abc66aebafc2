"""Checks the names, flags and shapes of the fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fno_lightning.data.check.attributes import checked_flag, checked_flags
from fno_lightning.data.check.dimensions import Dimensions
from fno_lightning.data.check.findings import Findings
from fno_lightning.data.check.listing import checked_listing
from fno_lightning.data.hdf5_entry import Entry
from fno_lightning.data.well_file import WellField
from fno_lightning.data.well_metadata import read_field


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
            entry.place,
            f"holds values of type {field.dtype}, The Well's are float32: the_well's reader does not convert",
        )
    return field


def _check_names(stored: Sequence[StoredField], findings: Findings) -> None:
    """Checks that no two fields have a component of the same name, by which channels and statistics are told apart."""
    places: dict[str, str] = {}
    for item in stored:
        for component in item.field.components:
            place = places.setdefault(component, item.entry.place)
            if place != item.entry.place:
                findings.error(
                    item.entry.place, f"has the component '{component}', as has {place}: give one another name"
                )
