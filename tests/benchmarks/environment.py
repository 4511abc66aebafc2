"""Hardware and versions of a measurement."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import torch

DISTRIBUTIONS = ("torch", "lightning", "neuraloperator", "the_well", "jax", "optax", "numpy", "nvidia-physicsnemo")


def environment(device: torch.device) -> dict[str, object]:
    """Return hardware, versions, date and commit."""
    record: dict[str, object] = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "versions": {name: version for name in DISTRIBUTIONS if (version := _version(name))},
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        record["gpu"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
    return record


def summary(record: dict) -> str:
    """Return the record as a sentence."""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    gpu = f"{record['gpu']}; " if "gpu" in record else ""
    return (
        f"{gpu}{record['cpu']} ({record['cpu_capability']}), {record['cores']} cores, {record['threads']} threads; "
        f"Python {record['python']}, {versions}; commit {record['commit']}, {record['date']}"
    )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        result = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return result.stdout.strip()


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
