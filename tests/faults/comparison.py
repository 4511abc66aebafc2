"""What a training that was killed and resumed did, beside one that was not."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import h5py
import torch

from tests.faults.training import FINAL, LOSSES

_TIMES = ("created",)
"""Attributes of simulated files that tell when they were made."""


def differences(folder: Path, expected: Path) -> list[str]:
    """Return how losses, final checkpoint and data of a training differ from those of another, bit by bit."""
    found = _losses_differ(folder, expected)
    checkpoints = [torch.load(one / FINAL, weights_only=True) for one in (folder, expected)]
    for checkpoint in checkpoints:
        del checkpoint["random_state"]["python"]  # names of temporary files are drawn from it too
        del checkpoint["loops"]  # Lightning's counts, of items and of what it began since the training was resumed
        del checkpoint["callback_metrics"]["train/loss"]  # the mean over an execution, which may be cut in two
        checkpoint["callbacks"] = {
            key: state for key, state in checkpoint["callbacks"].items() if "ModelCheckpoint" not in key
        }
    found += _different(*checkpoints, FINAL)
    if data_of(folder) != data_of(expected):
        found.append("the data differ")
    return found


def losses_of(folder: Path) -> dict[tuple[str, str], set[str]]:
    """Return the losses of every step that a training took, perhaps several times, by epoch and samples."""
    losses: dict[tuple[str, str], set[str]] = {}
    file = folder / LOSSES
    for line in file.read_text().splitlines() if file.is_file() else []:
        epoch, content, loss = line.split(",")
        if epoch != "start":
            losses.setdefault((epoch, content), set()).add(loss)
    return losses


def starts_of(folder: Path) -> list[int]:
    """Return the step at which each start of a training began to train."""
    file = folder / LOSSES
    lines = file.read_text().splitlines() if file.is_file() else []
    return [int(line.split(",")[1]) for line in lines if line.startswith("start")]


def data_of(folder: Path) -> dict[str, str]:
    """Return a hash of each file of data."""
    return {str(file.relative_to(folder)): _hash_of(file) for file in sorted(folder.glob("datasets/**/*.hdf5"))} | {
        str(file.relative_to(folder)): file.read_text() for file in sorted(folder.glob("datasets/**/stats.yaml"))
    }


def _losses_differ(folder: Path, expected: Path) -> list[str]:
    found, wanted = losses_of(folder), losses_of(expected)
    several = sum(len(losses) > 1 for losses in found.values())
    lacking = len(wanted.keys() - found.keys())
    added = len(found.keys() - wanted.keys())
    other = sum(found[step] != wanted[step] for step in found.keys() & wanted.keys())
    counts = {"with several losses": several, "left out": lacking, "added": added, "with another loss": other}
    return [f"{count} steps {what}" for what, count in counts.items() if count]


def _different(first: Any, second: Any, name: str) -> list[str]:
    if isinstance(first, dict) and isinstance(second, dict):
        if first.keys() != second.keys():
            return [f"{name} has other entries: {sorted(map(str, first.keys() ^ second.keys()))}"]
        return [text for key in first for text in _different(first[key], second[key], f"{name}/{key}")]
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        if len(first) != len(second):
            return [f"{name} is longer or shorter"]
        return [
            text for i, both in enumerate(zip(first, second, strict=True)) for text in _different(*both, f"{name}/{i}")
        ]
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return [] if torch.equal(first, second) else [f"{name} differs"]
    return [] if first == second or first != first else [f"{name} is {first}, not {second}"]


def _hash_of(path: Path) -> str:
    """Return a hash of everything in a file but the times at which it was made."""
    digest = hashlib.sha256()
    with h5py.File(path) as file:

        def add(name: str, entry: h5py.HLObject) -> None:
            attributes = {key: str(value) for key, value in entry.attrs.items() if key not in _TIMES}
            digest.update(f"{name} {sorted(attributes.items())}".encode())
            if isinstance(entry, h5py.Dataset):
                digest.update(entry[()].tobytes())

        add("/", file)
        file.visititems(add)
    return digest.hexdigest()
