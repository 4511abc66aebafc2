"""Files that are kept open, within the number of file descriptors that a process may have."""

from __future__ import annotations

import itertools
import mmap
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np

from fno_lightning.data.hdf5.chunks import ChunkCache, ChunkedFrames
from fno_lightning.data.hdf5.entry import Entry, EntryError
from fno_lightning.data.hdf5.failures import is_exhausted
from fno_lightning.data.hdf5.file import WellField, WellFile
from fno_lightning.data.hdf5.links import files_of
from fno_lightning.data.hdf5.opening import open_root
from fno_lightning.data.precision import as_floats

MAX_DESCRIPTORS = 1024
"""Most descriptors that the readers of a process hold, where the system would allow more."""

_SHARE = 4
"""Readers hold one in so many of the descriptors that the system allows: tensors, loggers and sockets take others."""


def descriptor_limit() -> int:
    """Return the number of file descriptors that all readers of this process may hold together."""
    try:
        import resource  # not on Windows
    except ImportError:
        return MAX_DESCRIPTORS // _SHARE
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_DESCRIPTORS if soft == resource.RLIM_INFINITY else max(1, min(soft // _SHARE, MAX_DESCRIPTORS))


class OpenFile:
    """The arrays and data sets of an open file, which is closed with the last reference to them.

    Fields that lie in the file in one piece are views of one mapping of it; the HDF5 library holds the file only for
    the others.

    Args:
        file: Metadata of the file.
        chunks: Holder of decoded chunks.

    Raises:
        EntryError: if the file is not as the metadata say.

    Attributes:
        sources: The array or data set of each field, by its path in the file.
        n_descriptors: Number of file descriptors that are held.
        last_use: Number of the last use, counted over all files of the process.
    """

    def __init__(self, file: WellFile, chunks: ChunkCache) -> None:
        self.last_use = 0
        mapped = [field for field in file.fields if field.offset is not None]
        others = [field for field in file.fields if field.offset is None]
        self.sources: dict[str, Any] = _mapped(file.path, mapped)
        self.n_descriptors = int(bool(mapped))
        if not others:
            return
        root = open_root(file.path)
        held: set[str] = set()
        for field in others:
            entry = root.dataset(field.path)
            source = self.sources[field.path] = _source(entry, field, chunks)
            if isinstance(source, _Named):
                held |= {str(file.path)} | files_of(entry.handle)
        self._root = root if held else None
        self.n_descriptors += len(held)


class OpenFiles:
    """The open files of one reader; all readers of a process share the descriptors, the unused for longest yield.

    A copy in another process begins with none.
    """

    def __init__(self) -> None:
        self.opened: dict[Path, OpenFile] = {}
        self.chunks = ChunkCache()

    def get(self, file: WellFile) -> OpenFile:
        """Return a file, opened on first use; it stays open at least as long as it is referred to.

        Raises:
            FileNotFoundError: if there is no such file.
            EntryError: if it cannot be opened, or is not as the metadata say.
        """
        return _pool_of_this_process().get(self, file)

    def close(self) -> None:
        """Close the files and drop decoded chunks."""
        self.opened.clear()
        self.chunks = ChunkCache()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]


class _Pool:
    """The open files of all readers of a process."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.holders: WeakSet[OpenFiles] = WeakSet()
        self._uses = itertools.count()
        self._lock = threading.Lock()

    def get(self, holder: OpenFiles, file: WellFile) -> OpenFile:
        opened = holder.opened.get(file.path)
        if opened is None:
            with self._lock:
                opened = self._open(holder, file)
        opened.last_use = next(self._uses)
        return opened

    def _open(self, holder: OpenFiles, file: WellFile) -> OpenFile:
        self.holders.add(holder)
        try:
            opened = OpenFile(file, holder.chunks)
        except (OSError, EntryError) as error:
            if not is_exhausted(error.__cause__ or error):
                raise
            self._close_others(0)
            opened = OpenFile(file, holder.chunks)
        self._close_others(descriptor_limit() - opened.n_descriptors)
        holder.opened[file.path] = opened
        return opened

    def _close_others(self, n_descriptors: int) -> None:
        """Close the files that are unused for longest, until at most so many descriptors are held."""
        others = [(held.last_use, path, holder) for holder in self.holders for path, held in holder.opened.items()]
        n_held = sum(holder.opened[path].n_descriptors for _, path, holder in others)
        for _, path, holder in sorted(others, key=lambda item: item[0]):
            if n_held <= n_descriptors:
                return
            n_held -= holder.opened.pop(path).n_descriptors


_pools = [_Pool()]


def _pool_of_this_process() -> _Pool:
    """Return the pool; a forked process lets go of the files that its parent had open, and begins anew."""
    if _pools[0].process != os.getpid():
        for holder in list(_pools[0].holders):
            holder.close()
        _pools[0] = _Pool()
    return _pools[0]


def _mapped(path: Path, fields: Sequence[WellField]) -> dict[str, np.ndarray]:
    """Return fields as views of one mapping of their file."""
    if not fields:
        return {}
    with path.open("rb") as raw:
        memory = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
    views = {}
    for field in fields:
        try:
            views[field.path] = np.ndarray(field.shape, field.dtype, memory, field.offset or 0)
        except TypeError as error:  # the buffer is too small
            found = f"ends after {len(memory)} bytes, before the values do: it was changed meanwhile, start again"
            raise EntryError(path, f"/{field.path}", found) from error
    return views


class _Named:
    """A source whose errors name the file and the field."""

    def __init__(self, entry: Entry, source: Any) -> None:
        self._entry = entry
        self._source = source

    def __getitem__(self, index: Any) -> Any:
        with self._entry.reading():
            return as_floats(self._source[index])


def _source(entry: Entry, field: WellField, chunks: ChunkCache) -> Any:
    """Return a field that the HDF5 library reads: the values, if they do not depend on trajectory or time."""
    n_leading = field.sample_varying + field.time_varying
    if n_leading == 0:
        return entry.read(())
    dataset = entry.handle
    return _Named(entry, dataset if dataset.chunks is None else ChunkedFrames(dataset, chunks, n_leading))
