"""Check attributes and their types; each function returns ``None`` after it has reported an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from fno_lightning.check.report import Report
from fno_lightning.data.hdf5.entry import Entry, EntryError
from fno_lightning.data.hdf5.text import decoded


def are_numbers(entry: Entry, report: Report) -> bool:
    """Whether a data set holds real numbers."""
    return report.attempt(_numbers, entry) is not None


def checked_listing(group: Entry, report: Report) -> list[Entry]:
    """Check ``field_names``; return the data sets that it names, or all if it is not readable."""
    names = checked_names(group, "field_names", report)
    if names is None:
        found = [report.attempt(group.dataset, name) for name, kind in _kinds(group) if kind is h5py.Dataset]
        return [entry for entry in found if entry is not None]
    for name, count in Counter(names).items():
        if count > 1:
            report.error(group.location, f"names '{name}' {count} times in field_names: name it once")
    for name in map(decoded, group.handle):
        if name not in names:
            report.error(
                group.location, f"holds '{name}', which field_names {list(names)} does not name: name it, or delete it"
            )
    entries = [report.attempt(group.dataset, name) for name in dict.fromkeys(names)]
    return [entry for entry in entries if entry is not None]


def checked_text(entry: Entry, name: str, report: Report) -> str | None:
    """Return an attribute that must be text."""
    return report.attempt(_text, entry, name, report)


def checked_names(entry: Entry, name: str, report: Report) -> tuple[str, ...] | None:
    """Return an attribute that must be a list of names."""
    return report.attempt(_names, entry, name, report)


def checked_count(entry: Entry, name: str, report: Report) -> int | None:
    """Return an attribute that must be a positive integer."""
    return report.attempt(_count, entry, name)


def checked_flag(entry: Entry, name: str, report: Report) -> bool | None:
    """Return an attribute that must be true or false."""
    return report.attempt(_flag, entry, name, report)


def checked_flags(entry: Entry, name: str, n_flags: int | None, report: Report) -> tuple[bool, ...] | None:
    """Return an attribute that must be a list of as many flags; ``n_flags`` is ``None`` if that is not known."""
    return report.attempt(_flags, entry, name, n_flags, report)


def _numbers(entry: Entry) -> tuple[int, ...]:
    entry.require_numbers()
    return entry.shape


def _kinds(group: Entry) -> Iterator[tuple[str, type | None]]:
    """Yield the name and the kind of each entry of a group; ``None`` for one that cannot be opened."""
    for name in map(decoded, group.handle):
        try:
            yield name, group.handle.get(name, getclass=True)
        except (OSError, RuntimeError):
            yield name, None


def _text(entry: Entry, name: str, report: Report) -> str:
    value = entry.attribute(name)
    if not isinstance(value, str | bytes):
        raise _wrong(entry, name, value, "text")
    _warn_of_bytes(entry, name, [value], report)
    return entry.text(name)


def _names(entry: Entry, name: str, report: Report) -> tuple[str, ...]:
    value = entry.attribute(name)
    if isinstance(value, str | bytes) and len(value) != 1:  # one letter is read as a list of one either way
        raise _wrong(entry, name, value, "a list of names; of one text, readers take each letter for a name")
    values = np.atleast_1d(value)
    if isinstance(value, h5py.Empty) or not all(isinstance(item, str | bytes) for item in values):
        raise _wrong(entry, name, value, "a list of names")
    _warn_of_bytes(entry, name, values.tolist(), report)
    return entry.names(name)


def _count(entry: Entry, name: str) -> int:
    value = entry.attribute(name)
    if not isinstance(value, int | np.integer) or value < 1:
        raise _wrong(entry, name, value, "a positive integer")
    return entry.integer(name)


def _flag(entry: Entry, name: str, report: Report) -> bool:
    flags = _booleans(entry, name, "true or false", report)
    if flags.size != 1:
        raise _wrong(entry, name, flags, "true or false")
    return bool(flags.ravel()[0])


def _flags(entry: Entry, name: str, n_flags: int | None, report: Report) -> tuple[bool, ...]:
    flags = _booleans(entry, name, "a list of true or false", report)
    if flags.ndim > 1 or n_flags not in (None, flags.size):
        raise _wrong(entry, name, flags, f"true or false for each of the {n_flags} axes")
    return tuple(bool(flag) for flag in flags.ravel())


def _booleans(entry: Entry, name: str, expected: str, report: Report) -> np.ndarray:
    """Return the values of an attribute that are booleans, or at least zeros and ones."""
    value = entry.attribute(name)
    values = np.asarray(value)
    if values.dtype.kind not in "biu" or not np.isin(values, (0, 1)).all():
        raise _wrong(entry, name, value, expected)
    if values.dtype.kind != "b":
        message = f"has the attribute '{name}' = {value!r} of type {values.dtype}, strict readers require booleans"
        report.warning(entry.location, message)
    return values


def _warn_of_bytes(entry: Entry, name: str, values: list[Any], report: Report) -> None:
    if any(isinstance(value, bytes) for value in values):
        message = f"has the attribute '{name}' in bytes, strict readers require strings of variable length"
        report.warning(entry.location, message)


def _wrong(entry: Entry, name: str, value: Any, expected: str) -> EntryError:
    return entry.error(f"has the attribute '{name}' = {value!r}, expected {expected}")
