"""Paths as a user writes them, files that are complete or absent, and folders that one process at a time prepares."""

from __future__ import annotations

import itertools
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from filelock import FileLock
from rich.filesize import decimal

PathText: TypeAlias = str | os.PathLike[str]
"""A path as a user writes it, as text or as a Path."""

PART_SUFFIX = ".part"
"""Ending of the temporary files, which readers of data files never match."""

_VARIABLE = re.compile(r"\$(?:(?P<name>[A-Za-z_]\w*)|\{(?P<braced>[^{}]*)\})")


def expanded_path(path: PathText, name: str = "the path") -> Path:
    """Return a path with ``~`` and variables of the environment, ``$NAME`` or ``${NAME}``, replaced.

    Args:
        path: The path, as a user has written it.
        name: Name of the option, for the message.

    Raises:
        ValueError: if the text is empty, a variable is not set, or there is no such user.
    """
    text = os.fspath(path)
    if not text:
        raise ValueError(f"{name} is empty: leave it out, or write . for the current folder")
    for variable in (match["name"] or match["braced"] for match in _VARIABLE.finditer(text)):
        if variable not in os.environ:
            raise ValueError(f"{name} is {text}, but the variable {variable} is not set: set it, or write the path out")
    expanded = Path(os.path.expandvars(text))
    if not text.startswith("~"):
        return expanded
    try:
        return expanded.expanduser()
    except RuntimeError:
        if expanded.exists():
            return expanded
        raise ValueError(f"{name} is {text}, but there is no user {expanded.parts[0]}: write the path out") from None


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


def unused_path(path: Path) -> Path:
    """Return a path that is not there yet: the given one, else ``<stem>-v1<suffix>``, ``<stem>-v2<suffix>`` ..."""
    return next(version for version in _versions(path) if not version.exists())


def write_unused(path: Path, text: str) -> Path:
    """Write a text, but over no other file: to the first of the paths as :func:`unused_path` numbers them.

    Args:
        path: The file to be written; its folder is made if there is none.
        text: The text.

    Returns:
        The file that holds the text now: the one that was written, or one of those paths that held it already.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for version in _versions(path):
        try:
            with version.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            if not version.is_file() or version.read_bytes() != text.encode():
                continue
        return version
    raise AssertionError("there is always another version")


def _versions(path: Path) -> Iterator[Path]:
    yield path
    yield from (path.with_name(f"{path.stem}-v{number}{path.suffix}") for number in itertools.count(1))


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
