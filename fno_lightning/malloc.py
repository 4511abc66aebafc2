"""Tuning of the C library's memory allocator for training on a CPU."""

from __future__ import annotations

import ctypes
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST = 2**31 - 1
_CHOSEN = {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}  # glibc's own variables


def keep_freed_memory() -> bool:
    """Make glibc keep freed memory for the next allocation instead of returning it to the system.

    Every training step on a CPU allocates and frees the same large tensors, and the system clears each new page. The
    process then keeps as much memory as it once needed. The setting holds for the whole process, so it is for programs
    to call, as the command line does, and not for libraries. Whoever sets the thresholds in the environment
    (``MALLOC_MMAP_THRESHOLD_``, ``MALLOC_TRIM_THRESHOLD_``) has chosen otherwise, and they stay.

    Returns:
        Whether the setting was made; only glibc has it.
    """
    if not sys.platform.startswith("linux") or _CHOSEN & os.environ.keys():
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_M_TRIM_THRESHOLD, _LARGEST))
