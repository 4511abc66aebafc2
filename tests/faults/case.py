"""A training that is killed once, resumed to its end, and compared with one that was not killed."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

from tests.faults import training
from tests.faults.comparison import differences, losses_of, starts_of
from tests.faults.moments import WRITING, Moment, report_phases

KINDS = {
    "anywhere": ("anywhere",),
    "command line": ("anywhere",),
    "checkpoint": ("checkpoint",),
    "simulation": ("simulation",),
    "statistics": ("statistics",),
    "resuming": ("checkpoint", "resuming"),
    "again": ("checkpoint", "checkpoint", "anywhere"),
}
"""The phase of each kill of a training, by kind of fault."""

LIMIT = 120
"""Seconds after which a training counts as hanging."""

# A server imports the package once, and forks every training: starting Python takes longer than they do.
forkserver.set_forkserver_preload(["fno_lightning.__main__", "tests.faults.training", "tests.faults.moments"])


@dataclass
class Result:
    """What became of a training.

    Attributes:
        number: Number of the fault.
        kind: Kind of the fault.
        variant: Name of the training.
        moments: When it was killed.
        inside: Whether the phase was going on still at the last kill.
        n_steps: Different steps that it had taken until then.
        killed: Whether all kills came before the training was over.
        resumed: Whether it then ran to its end, and from which step.
        differences: How it differs from a training that was not killed.
        warning: What it said of damaged checkpoints.
    """

    number: int
    kind: str
    variant: str
    moments: list[dict[str, Any]] = field(default_factory=list)
    inside: bool = False
    n_steps: int = 0
    killed: bool = False
    resumed: bool = False
    resumed_from: int = 0
    differences: list[str] = field(default_factory=list)
    warning: str = ""

    @property
    def same(self) -> bool:
        """Whether nothing tells the training from one that was not killed."""
        return self.resumed and not self.differences


class Reference:
    """A training that is not killed, and the times that its phases take."""

    def __init__(self, folder: Path, variant: str, *, by_command_line: bool = False) -> None:
        self.folder, self.variant, self.by_command_line = folder, variant, by_command_line
        self.durations: dict[str, list[float]] = {}
        shutil.rmtree(folder, ignore_errors=True)
        process, connection = _start(folder, variant, None, by_command_line)
        reports = _received(connection)
        process.join()
        assert process.exitcode == 0, (folder / "output.txt").read_text()
        for phase, duration in reports:
            self.durations.setdefault(phase, []).append(duration)
        self.durations["resuming"] = [0.02]  # of which it had none

    def moment(self, kind: str, number: int, random: Random) -> Moment:
        """Draw a moment of the phase of a kill.

        The first of several kills comes when there is a checkpoint, later ones while enough of the training is left.
        """
        phase, n_kills = KINDS[kind][number], len(KINDS[kind])
        durations = self.durations[phase]
        first = min(4 if n_kills > 1 and number == 0 else 0, len(durations) - 1)
        occurrence = random.randrange(first, max(first + 1, len(durations) // n_kills))
        longest = durations[occurrence]
        if phase == "checkpoint":  # saves after every second step alone
            occurrence -= (occurrence + 1) % 2
            longest = max(durations) + WRITING
        return Moment(phase, max(occurrence, 0), random.uniform(0, longest / (1 + number * (phase == "anywhere"))))


def run_case(number: int, kind: str, reference: Reference, folder: Path, seed: int) -> Result:
    """Kill a training, resume it, and compare it with its reference."""
    for attempt in range(10):
        random = Random(f"{seed} {number} {attempt}")
        shutil.rmtree(folder, ignore_errors=True)
        result = Result(number, kind, reference.variant)
        groups = []
        for order in range(len(KINDS[kind])):
            moment = reference.moment(kind, order, random)
            result.moments.append(asdict(moment))
            process, result.killed, result.inside = _kill(folder, reference.variant, moment, reference.by_command_line)
            groups.append(process)
            if not result.killed:
                break
        if result.killed:
            break
    result.n_steps = len(losses_of(folder))
    process, connection = _start(folder, reference.variant, None, reference.by_command_line)
    process.join(LIMIT)
    connection.close()
    for group in (*groups, process):
        _end_group(group)
    output = (folder / "output.txt").read_text()
    if process.exitcode != 0:
        result.differences = [f"ended with {process.exitcode}: {output[-2000:]}"]
        return result
    result.resumed, result.resumed_from = True, starts_of(folder)[-1]
    result.warning = next(
        (line for line in output.splitlines() if "the training goes on" in line and "is not" in line), ""
    )
    result.differences = differences(folder, reference.folder)
    if result.same:
        shutil.rmtree(folder)
    return result


def _kill(folder: Path, variant: str, moment: Moment, by_command_line: bool) -> tuple[Any, bool, bool]:
    """Start a training and kill it; return its process, whether it was alive then, and whether in the phase still."""
    process, connection = _start(folder, variant, moment, by_command_line)
    begun = connection.poll(LIMIT) and _next(connection) == "begin"
    if begun:
        time.sleep(moment.delay)
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    process.join(LIMIT)
    return process, bool(begun and process.exitcode == -signal.SIGKILL), "end" not in _received(connection)


def _start(folder: Path, variant: str, moment: Moment | None, by_command_line: bool = False) -> tuple[Any, Connection]:
    """Start a training, or go on with it."""
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("forkserver")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_train, args=(folder.absolute(), variant, moment, there, by_command_line))
    process.start()
    there.close()
    return process, here


def _train(folder: Path, variant: str, moment: Moment | None, connection: Connection, by_command_line: bool) -> None:
    os.setsid()
    multiprocessing.set_start_method("fork", force=True)  # that of an ordinary process, for the workers of loaders
    report_phases(moment, connection)
    training.fit(folder, variant, by_command_line=by_command_line)


def _received(connection: Connection) -> list[Any]:
    """Return all that was sent until the other end was closed."""
    received = []
    with suppress(EOFError, OSError):
        while True:
            received.append(connection.recv())
    return received


def _next(connection: Connection) -> Any:
    with suppress(EOFError, OSError):
        return connection.recv()
    return None


def _end_group(process: Any) -> None:
    """End what a killed training has left, such as the workers of its loaders."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
