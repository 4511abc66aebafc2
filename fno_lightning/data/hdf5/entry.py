"""Entries of an HDF5 file, looked up with errors that name the file, the location and the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np


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


@dataclass(frozen=True)
class Entry:
    """A group or a data set of an HDF5 file.

    Args:
        path: The file.
        handle: The open group or data set.
    """

    path: Path
    handle: Any

    @property
    def location(self) -> str:
        """Path of the entry inside the file."""
        return str(self.handle.name)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a data set."""
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
            EntryError: if there is no such data set.
        """
        return self._child(name, h5py.Dataset, "data set")

    def attribute(self, name: str) -> Any:
        """Return an attribute.

        Raises:
            EntryError: if there is no such attribute.
        """
        if name not in self.handle.attrs:
            raise self.error(
                f"has no attribute '{name}' (it has: {sorted(self.handle.attrs)}), which The Well's "
                "format requires: rewrite the file with it"
            )
        return self.handle.attrs[name]

    def text(self, name: str) -> str:
        """Return an attribute as text."""
        value = self.attribute(name)
        return value.decode() if isinstance(value, bytes) else str(value)

    def names(self, name: str) -> tuple[str, ...]:
        """Return an attribute that holds a list of names; a single name counts as a list of one."""
        values = np.atleast_1d(self.attribute(name))
        return tuple(value.decode() if isinstance(value, bytes) else str(value) for value in values)

    def flag(self, name: str) -> bool:
        """Return an attribute that is true or false."""
        return bool(self.attribute(name))

    def integer(self, name: str) -> int:
        """Return an attribute that holds an integer.

        Raises:
            EntryError: if it holds something else.
        """
        value = self.attribute(name)
        if np.size(value) != 1 or int(np.ravel(value)[0]) != np.ravel(value)[0]:
            raise self.error(f"has the attribute '{name}' = {value!r}, expected one integer")
        return int(np.ravel(value)[0])

    def finite_values(self) -> np.ndarray:
        """Read a small data set of numbers as float64.

        Raises:
            EntryError: if a value is not finite.
        """
        values = np.asarray(self.handle[()], dtype=np.float64)
        if not np.isfinite(values).all():
            raise self.error("holds values that are not finite: simulate or download the file again")
        return values

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

    def _child(self, name: str, kind: type, noun: str) -> Entry:
        child = self.handle.get(name)
        if not isinstance(child, kind):
            raise self.error(
                f"has no {noun} '{name}' (it has: {sorted(self.handle)}), which The Well's format "
                "requires: rewrite the file with it, or leave it out with exclude_filters"
            )
        return Entry(self.path, child)


@contextmanager
def open_hdf5(path: Path) -> Iterator[Entry]:
    """Open a file for reading and yield its root.

    Raises:
        FileNotFoundError: if there is no such file.
        EntryError: if it is not an HDF5 file, or only the beginning of one.
    """
    try:
        file = h5py.File(path, "r")
    except (FileNotFoundError, PermissionError):
        raise
    except OSError as error:
        size = path.stat().st_size
        if not h5py.is_hdf5(path):
            found = f"is not an HDF5 file ({size} bytes, beginning with {_first_bytes(path)!r})"
        else:
            found = f"is a damaged HDF5 file, probably truncated ({size} bytes: {error})"
        raise EntryError(path, "", f"{found}: delete it, then download or simulate it again") from error
    with file:
        yield Entry(path, file)


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)
