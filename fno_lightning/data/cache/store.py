"""Frames of a split in memory, and how much memory is free for them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rich.filesize import decimal
from torch import Tensor

from fno_lightning.data.cache.source import CachedFrames, FrameSource
from fno_lightning.data.loading import process_rank
from fno_lightning.devices import held_dtype
from fno_lightning.progress import progress_bar

SHOWN_BYTES = 2**30
"""Smallest size of which the progress of reading is shown."""

_MEMINFO = Path("/proc/meminfo")
_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


class FrameStore(ABC):
    """The frames of a split in memory, read at the first use in each process.

    Args:
        source: The frames to hold.
        device: Device of the tensors.
    """

    def __init__(self, source: FrameSource, device: torch.device) -> None:
        self.source = source
        self.device = device
        self._tensors: CachedFrames | None = None

    @property
    def tensors(self) -> CachedFrames:
        """The frames, constant fields and scalars.

        Raises:
            ValueError: if a value that is read is not finite.
        """
        if self._tensors is None:
            self._tensors = self._open()
        return self._tensors

    @property
    def n_missing(self) -> int:
        """Bytes that are still to be taken; none if another process has taken them already."""
        return self.source.n_bytes

    def free_bytes(self) -> int:
        """Return the bytes of memory that are free where the store lies."""
        return free_ram() if self.device.type == "cpu" else free_on(self.device)

    @abstractmethod
    def _open(self) -> CachedFrames: ...

    def _read(self, frames: Tensor, constants: Tensor) -> None:
        if self.source.n_bytes < SHOWN_BYTES or process_rank() > 0:
            self.source.read(frames, constants, lambda _: None)
            return
        with progress_bar(f"Reading {decimal(self.source.n_bytes)} into memory") as report:
            self.source.read(frames, constants, report)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_tensors": None}


class DeviceFrames(FrameStore):
    """A copy on the device that trains, of this process alone."""

    def _open(self) -> CachedFrames:
        source = self.source
        frames, constants, scalars = (
            torch.empty(shape, dtype=held_dtype(dtype, self.device), device=self.device)
            for shape, dtype in (
                (source.frames_shape, source.frames_dtype),
                (source.constants_shape, source.constants_dtype),
                (source.scalars.shape, source.scalars.dtype),
            )
        )
        self._read(frames, constants)
        return CachedFrames(frames, constants, scalars.copy_(source.scalars))


def free_ram() -> int:
    """Return the bytes of main memory that a process may still take.

    These are the bytes that the system calls available (free, or a cache that it can drop), or the physical memory
    where it does not tell, and no more than the limits of the container or batch job (control groups) leave.
    """
    return min(_available(), *(max(0, limit - used) for limit, used in _group_limits()), 2**63)


def free_on(device: torch.device) -> int:
    """Return the free bytes of an accelerator; 0 if they are not known."""
    try:
        free, _ = torch.accelerator.get_memory_info(device)
    except (RuntimeError, AttributeError, NotImplementedError, ValueError):
        return 0
    return free


def _available() -> int:
    if _MEMINFO.exists():
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines() if ":" in line)
        if "MemAvailable" in lines:
            return int(lines["MemAvailable"].split()[0]) * 1024
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 0


def _group_limits() -> Iterator[tuple[int, int]]:
    """Yield limit and use, in bytes, of this process's control groups and those that they are in."""
    for folder, names in _group_folders():
        limit, used, cached = names
        try:
            text = (folder / limit).read_text().strip()
            in_use = int((folder / used).read_text())
        except (OSError, ValueError):
            continue
        if text != "max":
            yield int(text), max(0, in_use - _droppable(folder / "memory.stat", cached))


def _group_folders() -> Iterator[tuple[Path, tuple[str, str, str]]]:
    try:
        lines = _OWN_GROUPS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2: one hierarchy for all
            root, names = _GROUPS, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            root = _GROUPS / "memory"
        else:
            continue
        own = Path(path.lstrip("/"))
        for folder in (own, *own.parents):
            yield root / folder, names


def _droppable(statistics: Path, name: str) -> int:
    """Return the bytes of a group's file cache that the system drops when memory is short."""
    try:
        lines = statistics.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.split()[0] == name), 0)
