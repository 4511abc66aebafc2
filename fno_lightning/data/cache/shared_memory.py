"""Frames in main memory that the processes of a machine share: one fills it, the others map it."""

from __future__ import annotations

import errno
import math
import mmap
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from rich.filesize import decimal

from fno_lightning.data.cache.source import CachedFrames, FrameSource
from fno_lightning.data.cache.store import FrameStore

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PREFIX = "fno_lightning-"
"""Prefix of the files' names, followed by the number of the user."""

_COMPLETE = b"complete"
_PAUSE = 0.01
"""Seconds between two attempts to be the one that fills a file."""


class RamFrames(FrameStore):
    """One copy in main memory for all processes of a machine that use the same part of the same files."""

    def __init__(self, source: FrameSource) -> None:
        super().__init__(source, torch.device("cpu"))
        self._file = SharedFile(source.key, max(source.n_bytes, 1))

    @property
    def n_missing(self) -> int:
        """Bytes that no other process has taken yet."""
        return 0 if self._file.exists() else self.source.n_bytes

    def _open(self) -> CachedFrames:
        return self._divide(self._file.open(lambda memory: self._read(*self._divide(memory)[:2])))

    def _divide(self, memory: np.ndarray) -> CachedFrames:
        source = self.source
        values = torch.from_numpy(memory[: source.n_bytes])
        frames = values[: math.prod(source.frames_shape) * source.frames_dtype.itemsize].view(source.frames_dtype)
        constants = values[source.frames_bytes :].view(source.constants_dtype)
        return CachedFrames(frames.view(source.frames_shape), constants.view(source.constants_shape), source.scalars)


class SharedFile:
    """A mapped file with a key as its name, which processes that know the key share while one of them lives.

    The first process fills it while the others wait. Each holds a shared lock on it, which the system releases with the
    process however that ends; the last process to release it removes the file, and files of crashed processes are
    removed, or used again, by the next that needs one. It lies in memory (``/dev/shm``) or, where that has
    not enough room, in the system's folder of temporary files.

    Args:
        key: Identity of the contents; equal keys must mean equal contents.
        n_bytes: Size of the contents.
    """

    def __init__(self, key: str, n_bytes: int) -> None:
        self.name = f"{PREFIX}{os.getuid() if hasattr(os, 'getuid') else 0}-{key}"
        self.n_bytes = n_bytes

    def exists(self) -> bool:
        """Whether some process has made the file already, or is about to."""
        return any((folder / self.name).exists() for folder in _folders())

    def open(self, fill: Callable[[np.ndarray], None]) -> np.ndarray:
        """Map the file, which ``fill`` writes first if no process has done so yet.

        Args:
            fill: Writes the contents into an array of bytes.

        Returns:
            The contents as bytes; the file stays for as long as any process has such an array.

        Raises:
            OSError: if there is not enough room in any folder, or the system cannot lock files.
        """
        if fcntl is None:
            raise OSError(errno.ENOSYS, "cache=ram needs locks on files, which this system lacks: use cache=none")
        free = {}
        for folder in _folders():
            free[folder] = shutil.disk_usage(folder).free
            if free[folder] < self.n_bytes and not (folder / self.name).exists():
                continue
            try:
                return _Mapping(folder / self.name, self.n_bytes).open(fill)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
        rooms = ", ".join(f"{decimal(n)} in {folder}" for folder, n in free.items())
        raise OSError(
            errno.ENOSPC,
            f"cache=ram needs {decimal(self.n_bytes)}, but there are only {rooms}: use cache=none, or less of the data "
            "(fields, grid_stride, subsample or include_filters)",
        )


class _Mapping:
    """One of the places where a shared file may lie."""

    def __init__(self, path: Path, n_bytes: int) -> None:
        self.path = path
        self.n_bytes = n_bytes

    def open(self, fill: Callable[[np.ndarray], None]) -> np.ndarray:
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                values = self._locked(descriptor, fill)
            except BaseException:
                os.close(descriptor)
                raise
            if values is not None:
                weakref.finalize(values, _let_go, self.path, descriptor, os.getpid())
                return values
            os.close(descriptor)

    def _locked(self, descriptor: int, fill: Callable[[np.ndarray], None]) -> np.ndarray | None:
        """Lock the open file, filling it if needed; ``None`` if it was removed meanwhile."""
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        while _is_at(self.path, descriptor) and not self._is_complete(descriptor):
            if _is_alone(descriptor):
                self._write(descriptor, fill)
            else:
                time.sleep(_PAUSE)
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # the change is not atomic: the file may be removed in between
        if not _is_at(self.path, descriptor) or not self._is_complete(descriptor):
            return None
        return self._map(descriptor)

    def _write(self, descriptor: int, fill: Callable[[np.ndarray], None]) -> None:
        _remove_abandoned(self.path)
        size = self.n_bytes + len(_COMPLETE)
        try:
            os.ftruncate(descriptor, 0)
            if hasattr(os, "posix_fallocate"):  # so that a full folder is an error now, not a crash later
                os.posix_fallocate(descriptor, 0, size)
            else:
                os.ftruncate(descriptor, size)
            fill(self._map(descriptor))
            os.pwrite(descriptor, _COMPLETE, self.n_bytes)
        except BaseException:
            self.path.unlink(missing_ok=True)
            raise

    def _map(self, descriptor: int) -> np.ndarray:
        return np.frombuffer(mmap.mmap(descriptor, self.n_bytes), np.uint8)

    def _is_complete(self, descriptor: int) -> bool:
        size = os.fstat(descriptor).st_size
        return size == self.n_bytes + len(_COMPLETE) and os.pread(descriptor, 8, self.n_bytes) == _COMPLETE


def _folders() -> Iterator[Path]:
    """Yield the folders in which shared files may lie, the best first."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK):
        yield memory
    yield Path(tempfile.gettempdir())


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether a path still leads to an open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _is_alone(descriptor: int) -> bool:
    """Take the exclusive lock if nobody has a lock; the shared one is lost in any case.

    It does not wait: a process that fills the file meanwhile keeps its shared lock for as long as it lives.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _let_go(path: Path, descriptor: int, process: int) -> None:
    """Remove the file if no other process has it open; a forked process leaves that to the one that opened it."""
    if os.getpid() == process:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, descriptor):
                path.unlink()
    with suppress(OSError):
        os.close(descriptor)


def _remove_abandoned(kept: Path) -> None:
    """Remove files of processes that ended without releasing them."""
    for path in kept.parent.glob(f"{'-'.join(kept.name.split('-')[:2])}-*"):
        if path == kept:
            continue
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(path, descriptor):
                    path.unlink()
            finally:
                os.close(descriptor)
