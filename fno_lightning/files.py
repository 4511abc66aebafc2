"""Files that are either complete or absent, and folders that one process at a time prepares."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock
from rich.filesize import decimal

PART_SUFFIX = ".part"
"""Ending of the temporary files, which readers of data files never match."""


@contextmanager
def atomic_file(path: Path, n_bytes: int = 0) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, which becomes ``path`` when the block ends without an error.

    Whatever goes wrong, nothing half written is found under ``path``; only a kill leaves the temporary file behind.

    Args:
        path: The file to be written; its folder is made if there is none. An older file is replaced.
        n_bytes: Size of the file if known, for the error message.

    Raises:
        OSError: if the file cannot be written; names it, its size and the free space.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PART_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _explained(error, path, n_bytes) from error


def _explained(error: OSError, path: Path, n_bytes: int) -> OSError:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    size = f", which needs {decimal(n_bytes)}" if n_bytes else ""
    message = (
        f"cannot write {path}{size} ({decimal(free)} are free there): {error.strerror or error}. "
        "Free some space or choose another folder, then run the same command again; finished files are kept"
    )
    return OSError(message) if error.errno is None else OSError(error.errno, message)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Wait until no other process holds the folder, then hold it; the lock of a killed process is free.

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
