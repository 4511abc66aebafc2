"""Entries of an HDF5 file, looked up with errors that name the file, the location and the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fno_lightning.data.hdf5.failures import reading_failure, reason
from fno_lightning.data.hdf5.filters import missing_filter
from fno_lightning.data.hdf5.links import has_link, link_target, missing_source, require_descriptors, stored_name
from fno_lightning.data.hdf5.text import content_noun, decoded
from fno_lightning.data.precision import as_floats


class WellFormatError(ValueError):
    """A file or a folder that is not valid in The Well's format."""


class EntryError(WellFormatError):
    """An entry of a file that is not valid in The Well's format.

    Args:
        path: The file.
        location: Path of the entry inside the file; empty for the file itself.
        found: The finding and the remedy, as the rest of a sentence that begins with the location.
    """

    def __init__(self, path: Path, location: str, found: str) -> None:
        super().__init__(path, location, found)
        self.path = path
        self.location = location
        self.found = found

    def __str__(self) -> str:
        return f"{self.path}: {self.location} {self.found}" if self.location else f"{self.path} {self.found}"


class UnreadableError(EntryError):
    """A file that cannot be read at present, which says nothing about what it holds."""


@dataclass(frozen=True)
class Entry:
    """A group or a data set of an HDF5 file, or of another file that a link in it leads to.

    Args:
        path: The file.
        handle: The open group or data set.
        location: Path of the entry inside the file.
    """

    path: Path
    handle: Any
    location: str = "/"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a data set.

        Raises:
            EntryError: if it has none, and no values.
        """
        if self.handle.shape is None:
            raise self.error("holds no values (its dataspace is null): write them")
        return tuple(self.handle.shape)

    def error(self, found: str) -> EntryError:
        """Return an error that names the file, the location in it, and the finding."""
        return EntryError(self.path, self.location, found)

    def group(self, name: str) -> Entry:
        """Return a group of this group.

        Raises:
            EntryError: if there is no such group.
        """
        return self._child(name, h5py.Group, "group")

    def dataset(self, name: str) -> Entry:
        """Return a data set of this group.

        Raises:
            EntryError: if there is no such data set, or a filter or another file that it needs.
        """
        entry = self._child(name, h5py.Dataset, "data set")
        if missing := missing_source(entry.handle):
            raise entry.error(missing)
        try:
            require_descriptors(entry.handle)
        except OSError as error:
            found = f"is a virtual data set of too many files ({reason(error)}): allow more open ones with `ulimit -n`"
            raise UnreadableError(self.path, entry.location, found) from error
        if missing := missing_filter(entry.handle):
            raise entry.error(
                f"is compressed with the filter {missing}, which is not installed: pip install hdf5plugin, or name the "
                "folder of the filter's plug-in in HDF5_PLUGIN_PATH"
            )
        return entry

    def attribute(self, name: str) -> Any:
        """Return an attribute.

        Raises:
            EntryError: if there is no such attribute.
        """
        with self.reading():
            attributes = self.handle.attrs
            if name not in attributes:
                raise self.error(
                    f"has no attribute '{name}' (it has: {sorted(map(str, attributes))}), which The Well's "
                    "format requires: rewrite the file with it"
                )
            return attributes[name]

    def text(self, name: str) -> str:
        """Return an attribute as text.

        Raises:
            EntryError: if it has no value.
        """
        value = self._value(name, "text")
        return decoded(value.ravel()[0] if isinstance(value, np.ndarray) and value.size == 1 else value)

    def names(self, name: str) -> tuple[str, ...]:
        """Return an attribute that holds a list of names; a single name counts as a list of one.

        Raises:
            EntryError: if it has no value; a list may be empty.
        """
        return tuple(decoded(value) for value in np.atleast_1d(self._value(name, "a list of names")))

    def flag(self, name: str) -> bool:
        """Return an attribute that is true or false.

        Raises:
            EntryError: if it holds something else.
        """
        flags = self.flags(name)
        if len(flags) != 1:
            raise self.error(f"has the attribute '{name}' = {self.attribute(name)!r}, expected true or false")
        return flags[0]

    def flags(self, name: str) -> tuple[bool, ...]:
        """Return an attribute that holds a list of true and false; a single one counts as a list of one.

        Raises:
            EntryError: if it holds text, or anything else that is not a number.
        """
        value = self.attribute(name)
        if np.asarray(value).dtype.kind not in "biuf" or not np.isin(value, (0, 1)).all():
            raise self.error(f"has the attribute '{name}' = {value!r}, expected true or false")
        return tuple(bool(flag) for flag in np.ravel(value))

    def integer(self, name: str) -> int:
        """Return an attribute that holds an integer.

        Raises:
            EntryError: if it holds something else.
        """
        value = self.attribute(name)
        values = np.ravel(value)
        if values.dtype.kind not in "biuf" or values.size != 1 or not np.isfinite(values).all() or values[0] % 1:
            raise self.error(f"has the attribute '{name}' = {value!r}, expected one integer")
        return int(values[0])

    def require_numbers(self) -> None:
        """Check that a data set holds real numbers.

        Raises:
            EntryError: if it holds something else.
        """
        dtype = self.handle.dtype
        if dtype.kind not in "biuf":
            raise self.error(f"holds {content_noun(dtype)}, expected real numbers: write numbers, or leave it out")

    def finite_values(self) -> np.ndarray:
        """Read a small data set of numbers as float64.

        Raises:
            EntryError: if it holds something else, a value is not finite, or it cannot be read.
        """
        self.require_numbers()
        _ = self.shape
        values = self.read(()).astype(np.float64)
        if not np.isfinite(values).all():
            raise self.error("holds values that are not finite: simulate or download the file again")
        return values

    def read(self, index: Any) -> np.ndarray:
        """Read numbers of a data set, as float32 or float64.

        Raises:
            EntryError: if HDF5 fails to, or float64 does not hold them.
        """
        with self.reading():
            return as_floats(np.asarray(self.handle[index]))

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Name the file and the entry in what HDF5 raises while values are read.

        Raises:
            EntryError: if HDF5 fails to read, or float64 does not hold the values.
        """
        try:
            yield
        except OverflowError as error:
            raise self.error(str(error)) from error
        except (OSError, RuntimeError) as error:  # RuntimeError: how h5py reports some damage
            raise self.error(reading_failure(error)) from error

    def check_shape(self, *expected: tuple[int, ...]) -> None:
        """Check the shape of a data set.

        Raises:
            EntryError: if it is none of those expected.
        """
        if self.shape not in expected:
            raise self.error(
                f"has the shape {self.shape}, but n_trajectories, the dimensions and its flags "
                f"(sample_varying, time_varying, dim_varying) imply {expected[0]}: correct the flags or the data"
            )

    def _value(self, name: str, expected: str) -> Any:
        """Return an attribute that has a value."""
        value = self.attribute(name)
        if isinstance(value, h5py.Empty):
            raise self.error(f"has the attribute '{name}' = {value!r}, expected {expected}")
        return value

    def _child(self, name: str, kind: type, noun: str) -> Entry:
        location = f"{self.location.rstrip('/')}/{name}"
        try:
            child = self.handle[stored_name(self.handle, name)]
        except (KeyError, OSError, RuntimeError) as error:  # RuntimeError: links in a circle
            child = None
            if target := link_target(self.handle, name):
                found = (
                    f"is a link to {target}, which cannot be followed ({reason(error)}): put the target in its place"
                )
                raise EntryError(self.path, location, found) from error
            if not isinstance(error, KeyError) or has_link(self.handle, name):
                raise EntryError(self.path, location, reading_failure(error)) from error
        if not isinstance(child, kind):
            raise self.error(
                f"has no {noun} '{name}' (it has: {sorted(map(decoded, self.handle))}), which The Well's format "
                "requires: rewrite the file with it, or leave it out with exclude_filters"
            )
        return Entry(self.path, child, location)
