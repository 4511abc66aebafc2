"""What HDF5's errors mean, and the remedy."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

ANEW = "download or simulate it again"

_LOCKED = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_FORBIDDEN = (errno.EACCES, errno.EPERM)
_TOO_MANY = (errno.EMFILE, errno.ENFILE)
_SUPERBLOCK = 96
"""Bytes of the shortest file that some version of HDF5 writes."""

_DAMAGE = ("truncated file", "superblock", "bad byte number in an address")
"""HDF5's words for a file of which only the beginning is there, or whose first bytes are wrong."""


def system_error(error: BaseException) -> int | None:
    """Return the number of the system's error behind one of HDF5's, if there is one."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = re.search(r"errno = (\d+)", str(error))
    return int(found[1]) if found else None


def is_exhausted(error: BaseException) -> bool:
    """Whether an error says that there are too many open files."""
    return system_error(error) in _TOO_MANY


def reason(error: BaseException) -> str:
    """Return HDF5's reason in one line: the system's words, or its own in the brackets."""
    number = system_error(error)
    if number is not None:
        return f"{os.strerror(number)}, errno {number}"
    text = " ".join(str(error.args[0] if error.args else error).split())
    found = re.search(r"\((.*)\)", text)
    return found[1] if found else text


def opening_failure(path: Path, error: OSError) -> tuple[str, bool]:
    """Explain why HDF5 does not open a file.

    Args:
        path: The file, which exists.
        error: The error that h5py raised.

    Returns:
        The finding and the remedy, and whether the file itself is at fault, so that it is to be made again.
    """
    found = _denial(path, error, " ".join(str(error).split()).lower())
    if found:
        return found, False
    size = path.stat().st_size
    if size == 0:
        return f"is empty (0 bytes): if nothing is about to write it, {ANEW}", True
    text = str(error).lower()
    if "signature" in text:
        with path.open("rb") as file:
            first = file.read(8)
        if first == b"version ":
            return "is a pointer of Git LFS, not the file itself: fetch that with `git lfs pull`", True
        return f"is not an HDF5 file ({size} bytes, beginning with {first!r}): delete it, then {ANEW}", True
    if "truncated file" in text or size < _SUPERBLOCK:
        return (
            f"is a damaged HDF5 file, probably truncated ({size} bytes: {reason(error)}): delete it, then {ANEW}",
            True,
        )
    if any(words in text for words in _DAMAGE):
        return f"is a damaged HDF5 file ({size} bytes: {reason(error)}): delete it, then {ANEW}", True
    return (
        f"cannot be opened by HDF5 ({reason(error)}): compare it with its origin; a newer HDF5 may know its format",
        True,
    )


def _denial(path: Path, error: OSError, text: str) -> str:
    """Return the finding and the remedy where the system, not the content of the file, stands in the way."""
    number = system_error(error)
    unlocked = "set the environment variable HDF5_USE_FILE_LOCKING=FALSE"
    if "already open for write" in text or "h5clear" in text or "consistency flags" in text:
        return (
            "is marked as open for writing: wait if a process still writes it; if that was killed, clear the mark with "
            f"`h5clear -s {path}`, which loses no data"
        )
    if "lock" in text and number in _LOCKED:
        return (
            f"is in use by another process, which may write it ({reason(error)}): wait until that closes it, or "
            f"{unlocked} to read it nevertheless"
        )
    if "unable to lock" in text:
        return f"cannot be locked, which this file system does not support ({reason(error)}): {unlocked}"
    if path.is_dir():
        return "is a folder, expected an HDF5 file: name a file, or give the folder another name"
    if number in _FORBIDDEN:
        return f"must not be read ({reason(error)}): change its permissions, or those of its folder"
    if number in _TOO_MANY:
        return f"cannot be opened ({reason(error)}): allow more open files with `ulimit -n`, or use fewer workers"
    if number is not None:
        return f"cannot be read ({reason(error)}): {_TRY_AGAIN}"
    return ""


_TRY_AGAIN = "try again, and look after the disk or the network that it lies on"


def reading_failure(error: BaseException) -> str:
    """Explain why HDF5 does not read the values of a data set: the finding and the remedy."""
    text = str(error).lower()
    if "plugin" in text or "required filter" in text:
        return (
            f"is compressed with a filter that is not installed ({reason(error)}): pip install hdf5plugin, or name the "
            "folder of the filter's plug-in in HDF5_PLUGIN_PATH"
        )
    if system_error(error) is not None:
        return f"cannot be read ({reason(error)}): {_TRY_AGAIN}"
    return f"cannot be read ({reason(error)}): simulate or download the file again"
