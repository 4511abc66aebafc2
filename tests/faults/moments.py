"""Moments of a training at which it is killed: how long after the beginning of which of its phases."""

from __future__ import annotations

import functools
import importlib
import io
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

import torch

PHASES = {
    "anywhere": ("tests.faults.training", "fit"),
    "checkpoint": ("lightning.pytorch.callbacks.ModelCheckpoint", "on_train_batch_end"),
    "simulation": ("fno_lightning.data.simulation.Simulation", "run"),
    "statistics": ("fno_lightning.data.hdf5.statistics", "compute_statistics"),
    "download": ("fno_lightning.data.well", "download_well"),
    "resuming": ("lightning.pytorch.trainer.connectors.checkpoint_connector._CheckpointConnector", "resume_start"),
}
"""What each phase is: a function, or a class and its method."""

WRITING = 0.04
"""Seconds that the writing of a checkpoint is made to take in which a training is to be killed."""


@dataclass(frozen=True)
class Moment:
    """A moment of a training.

    Attributes:
        phase: Name of a phase.
        occurrence: How often the phase has been before.
        delay: Seconds after it has begun.
    """

    phase: str
    occurrence: int
    delay: float


def report_phases(moment: Moment | None, connection: Connection) -> None:
    """Tell another process when the phase of a moment begins and ends; without one, the time that each phase takes."""
    for phase, (owner, name) in PHASES.items():
        if moment is None or moment.phase == phase:
            _wrap(_owner(owner), name, phase, moment, connection)


def _owner(path: str) -> object:
    """Return a module, or a class in one."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(module), name)


def _wrap(owner: object, name: str, phase: str, moment: Moment | None, connection: Connection) -> None:
    function = getattr(owner, name)
    n_before = 0

    @functools.wraps(function)
    def reported(*args, **kwargs):
        nonlocal n_before
        n_before += 1
        if moment is None:
            begin = time.monotonic()
            result = function(*args, **kwargs)
            connection.send((phase, time.monotonic() - begin))
            return result
        if n_before - 1 != moment.occurrence:
            return function(*args, **kwargs)
        connection.send("begin")
        save = torch.save
        if phase == "checkpoint":
            torch.save = functools.partial(_save_slowly, save)
        try:
            return function(*args, **kwargs)
        finally:
            torch.save = save
            connection.send("end")

    setattr(owner, name, reported)


def _save_slowly(save, checkpoint, stream) -> None:
    """Write a checkpoint piece by piece."""
    memory = io.BytesIO()
    save(checkpoint, memory)
    content, n_pieces = memory.getbuffer(), 20
    for number in range(n_pieces):
        stream.write(content[len(content) * number // n_pieces : len(content) * (number + 1) // n_pieces])
        stream.flush()
        time.sleep(WRITING / n_pieces)
