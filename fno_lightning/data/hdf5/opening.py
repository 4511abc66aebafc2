"""Open HDF5 files with errors that say what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from fno_lightning.data.hdf5.entry import Entry, EntryError, UnreadableError, WellFormatError
from fno_lightning.data.hdf5.failures import opening_failure, reading_failure


def open_root(path: Path) -> Entry:
    """Open a file for reading and return its root; the file is closed with the last reference to it.

    Raises:
        FileNotFoundError: if there is no such file.
        UnreadableError: if the file cannot be read now: in use, locked, forbidden, a link to nothing.
        EntryError: if it is not an HDF5 file, or a damaged one.
    """
    try:
        return Entry(path, h5py.File(path, "r"))
    except OSError as error:
        if path.is_symlink() and not path.exists():
            found = f"is a link to {path.readlink()}, which does not exist: put that in place, or delete the link"
            raise UnreadableError(path, "", found) from error
        if isinstance(error, FileNotFoundError) and not path.exists():
            raise FileNotFoundError(f"there is no file {path}") from error
        found, is_damaged = opening_failure(path, error)
        raise (EntryError if is_damaged else UnreadableError)(path, "", found) from error


@contextmanager
def open_hdf5(path: Path) -> Iterator[Entry]:
    """Open a file for reading and yield its root; close the file afterwards.

    Raises:
        FileNotFoundError: if there is no such file.
        UnreadableError: if the file cannot be read now: in use, locked, forbidden, a link to nothing.
        EntryError: if it is not an HDF5 file, or a damaged one.
    """
    root = open_root(path)
    with root.handle:
        yield root


@contextmanager
def open_for_metadata(path: Path) -> Iterator[Entry]:
    """Open a file as :func:`open_hdf5` does; what HDF5 raises of damaged metadata meanwhile names the file too.

    Raises:
        FileNotFoundError: if there is no such file.
        EntryError: if it cannot be opened, or its metadata are damaged.
    """
    with open_hdf5(path) as root:
        try:
            yield root
        except WellFormatError:
            raise
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise EntryError(path, "", reading_failure(error)) from error
