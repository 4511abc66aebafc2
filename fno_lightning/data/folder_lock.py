"""One process at a time in a folder that several may prepare."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Waits until no other process holds the folder, then holds it; the lock of a killed process is free.

    Where the folder cannot be written no lock is taken, because nobody can prepare anything there.
    """
    lock = FileLock(folder / ".lock")
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        if lock.is_locked:
            lock.release()
