"""How much memory is free."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import torch

_MEMINFO = Path("/proc/meminfo")
_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


def free_ram() -> int:
    """Returns the bytes of main memory that a process may still take.

    What the system calls available (free, or a cache that it can drop), or the physical memory where it does not say,
    and no more than the limits of the container or batch job (control groups) leave.
    """
    return min(_available(), *(max(0, limit - used) for limit, used in _group_limits()), 2**63)


def free_on(device: torch.device) -> int:
    """Returns the free bytes of an accelerator; 0 if it does not say."""
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
    """Yields limit and use, in bytes, of this process's control groups and those that they are in."""
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
    """Bytes of a group's file cache that the system drops when memory is short."""
    try:
        lines = statistics.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.split()[0] == name), 0)
