"""Cores of each process of a machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

_SYSTEM = Path("/sys/devices/system/node")
_DEVICES = Path("/sys/bus/pci/devices")


class CoreAffinity(Callback):
    """Bind each process of a machine to cores near its GPU and its memory.

    A machine with several sockets has several nodes of cores and memory; memory of another node is slower. A process
    gets an equal part of the cores of the node that its GPU hangs on, without GPUs of one node after the other, of
    those that the batch system has left it. Its memory comes from the same node, since Linux gives out pages where they
    are first written. Loader workers inherit the binding. PyTorch gets as many threads as cores, at most as many as it
    had. Not on systems other than Linux, where it does nothing.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Bind this process."""
        if not hasattr(os, "sched_setaffinity") or not _SYSTEM.is_dir():
            return
        n_local = max(1, trainer.world_size // max(1, trainer.num_nodes))
        device = trainer.strategy.root_device
        near = _node_of_gpu(device.index or 0) if device.type == "cuda" else None
        cores = cores_of(trainer.local_rank, n_local, _nodes(), os.sched_getaffinity(0), near)
        os.sched_setaffinity(0, cores)
        torch.set_num_threads(min(torch.get_num_threads(), len(cores)))


def cores_of(
    process: int, n_processes: int, nodes: Sequence[Sequence[int]], allowed: set[int], near: int | None = None
) -> list[int]:
    """Return the cores of a process.

    Args:
        process: Its number on the machine.
        n_processes: Processes on the machine.
        nodes: Cores of each node.
        allowed: Cores that may be used.
        near: The node that it should be on; ``None``: any.

    Returns:
        An equal part of the cores of a node, or of all nodes if there are more of them than processes; all that are
        allowed if there are fewer cores than processes.
    """
    usable = [[core for core in node if core in allowed] for node in nodes]
    usable = [node for node in usable if node]
    if not usable or sum(map(len, usable)) < n_processes:
        return sorted(allowed)
    if near is not None and (own := [core for core in nodes[near] if core in allowed]):
        n_sharing = max(1, -(-n_processes // len(nodes)))
        return _part(own, process % n_sharing, n_sharing)
    if n_processes < len(usable):
        return _part([core for node in usable for core in node], process, n_processes)
    node = process * len(usable) // n_processes
    sharing = [other for other in range(n_processes) if other * len(usable) // n_processes == node]
    return _part(usable[node], sharing.index(process), len(sharing))


def _part(cores: Sequence[int], number: int, n_parts: int) -> list[int]:
    """Return one of several equal parts; the same cores for several where there are too few."""
    if len(cores) < n_parts:
        return list(cores)
    return list(cores[number * len(cores) // n_parts : (number + 1) * len(cores) // n_parts])


def _nodes() -> list[list[int]]:
    """Return the cores of each node of this machine."""
    folders = sorted(_SYSTEM.glob("node[0-9]*"), key=lambda folder: int(folder.name[4:]))
    return [cores_in((folder / "cpulist").read_text()) for folder in folders]


def cores_in(text: str) -> list[int]:
    """Return the numbers in a list such as ``0-3,8,10-11``."""
    ranges = [part.partition("-") for part in text.strip().split(",") if part]
    return [core for first, _, last in ranges for core in range(int(first), int(last or first) + 1)]


def _node_of_gpu(index: int) -> int | None:
    """Return the node that a GPU hangs on, if the system knows it."""
    properties: Any = torch.cuda.get_device_properties(index)  # whose stub lacks these
    address = f"{properties.pci_domain_id:04x}:{properties.pci_bus_id:02x}:{properties.pci_device_id:02x}.0"
    file = _DEVICES / address / "numa_node"
    node = int(file.read_text()) if file.is_file() else -1
    return node if node >= 0 else None
