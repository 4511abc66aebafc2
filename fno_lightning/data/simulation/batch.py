"""Simulate files of a data set, batch by batch, in this process or in several."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import torch
from torch import Tensor

from fno_lightning.data.hdf5 import write_well_file
from fno_lightning.pdes import PDE, Trajectories
from fno_lightning.pdes.requirements import broken_seeds
from fno_lightning.progress import part_of


@dataclass(frozen=True)
class SimulatedFile:
    """A file that is to be made.

    Attributes:
        path: Relative to the folder of the data set.
        parameter_set: Number of the parameters that all its trajectories share.
        seeds: Seed of each trajectory.
    """

    path: Path
    parameter_set: int
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class SimulationBatch:
    """Files of one set of parameters that are simulated at once.

    Attributes:
        pde: The equation.
        parameters: Parameters that all trajectories share.
        files: The files.
        provenance: How the data are made, for the files' attributes.
    """

    pde: PDE
    parameters: Mapping[str, float]
    files: tuple[SimulatedFile, ...]
    provenance: Mapping[str, str]

    @property
    def seeds(self) -> list[int]:
        """Seeds of all trajectories."""
        return [seed for file in self.files for seed in file.seeds]

    @property
    def n_trajectories(self) -> int:
        """Number of trajectories."""
        return sum(len(file.seeds) for file in self.files)

    def run(self, root: Path, device: str, report: Callable[[float], None]) -> None:
        """Simulate the batch and write its files.

        Args:
            root: Folder of the data set.
            device: Device of the computation.
            report: Called with the fraction that is done.

        Raises:
            FloatingPointError: if a value is not finite; names the field and the seeds.
        """
        trajectories = self.pde.simulate(self.parameters, self.seeds, device=device, progress=report)
        first = 0
        for file in self.files:
            last = first + len(file.seeds)
            part = _rows(trajectories, slice(first, last))
            _require_finite(part, file.seeds)
            write_well_file(
                root / file.path,
                part,
                dataset_name=self.pde.dataset_name,
                grid_type=self.pde.grid_type,
                provenance={
                    **self.provenance,
                    "parameters": json.dumps(dict(self.parameters)),
                    "seeds": json.dumps(file.seeds),
                    "created": datetime.now(UTC).isoformat(timespec="seconds"),
                },
            )
            first = last


def simulate_batches(
    batches: Sequence[SimulationBatch], root: Path, device: str, n_processes: int, report: Callable[[float], None]
) -> None:
    """Simulate batches one after the other, or several at a time.

    Args:
        batches: What to simulate.
        root: Folder of the data set.
        device: Device of the computation.
        n_processes: Processes, each with one thread; 1: this process, with all its threads.
        report: Called with the fraction that is done.
    """
    if min(n_processes, len(batches)) > 1:
        _simulate_side_by_side(batches, root, device, n_processes, report)
        return
    for number, batch in enumerate(batches):
        batch.run(root, device, part_of(report, number, len(batches)))
        report((number + 1) / len(batches))


def _simulate_side_by_side(
    batches: Sequence[SimulationBatch], root: Path, device: str, n_processes: int, report: Callable[[float], None]
) -> None:
    context = multiprocessing.get_context("spawn")  # a fork would inherit the locks of torch's threads
    with (
        NamedTemporaryFile() as shared,
        ProcessPoolExecutor(n_processes, context, _start_process, (os.getpid(),)) as pool,
    ):
        fractions = np.memmap(shared.name, np.float64, "w+", shape=(len(batches),))
        pending = {
            pool.submit(_simulate, batch, root, device, shared.name, number) for number, batch in enumerate(batches)
        }
        try:
            for done in _as_completed(pending, lambda: report(float(fractions.mean()))):
                done.result()
        except BrokenProcessPool as error:
            raise ChildProcessError(
                "a process that simulates has ended: it ran out of memory or was killed, or the calling script starts "
                'its work at import, which n_processes > 1 does not allow: put it under `if __name__ == "__main__":`'
            ) from error
        except (FloatingPointError, OSError, ValueError) as error:
            raise type(error)(str(error)) from error  # here, in the process that the user sees
        finally:
            pool.shutdown(cancel_futures=True)
    report(1.0)


def _as_completed(pending: set[Future[None]], report: Callable[[], None]) -> Iterator[Future[None]]:
    while pending:
        done, pending = wait(pending, timeout=0.5, return_when=FIRST_EXCEPTION)
        report()
        yield from done


def _start_process(parent: int) -> None:
    """Prepare a process that simulates; it ends with the one that started it."""
    torch.set_num_threads(1)

    def end_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _simulate(batch: SimulationBatch, root: Path, device: str, shared: str, number: int) -> None:
    """Run a batch, and write the fraction of it that is done to a place in a shared file."""
    fractions = np.memmap(shared, np.float64, "r+")

    def report(fraction: float) -> None:
        fractions[number] = fraction

    batch.run(root, device, report)
    report(1.0)


def _require_finite(trajectories: Trajectories, seeds: Sequence[int]) -> None:
    for group in (trajectories.scalar_fields, trajectories.vector_fields, trajectories.constant_fields):
        for name, values in group.items():
            broken = broken_seeds(values.isfinite().flatten(1).all(dim=1), seeds)
            if broken:
                raise FloatingPointError(
                    f"'{name}' is not finite in the trajectories of seeds {broken}: the simulation broke down, and "
                    "nothing of it is written. Choose milder parameters or a finer grid"
                )


def _rows(trajectories: Trajectories, rows: slice) -> Trajectories:
    """Return some trajectories of a batch."""

    def take(fields: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: values[rows] if values.ndim else values for name, values in fields.items()}

    return replace(
        trajectories,
        scalars=take(trajectories.scalars),
        scalar_fields=take(trajectories.scalar_fields),
        vector_fields=take(trajectories.vector_fields),
        constant_fields=take(trajectories.constant_fields),
    )
