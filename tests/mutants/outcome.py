"""What becomes of work in a process of its own, whose memory and time are bounded."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

MEMORY = 2 << 30
"""Bytes that the work may have beyond those that the process has already."""
SECONDS = 60
"""Processor seconds of the work."""


class Outcome(NamedTuple):
    """How the work ended.

    Attributes:
        kind: ``done``; ``refused``: it raised an error that is for users; ``traceback``: another error; ``crash``: the
            interpreter died; ``slow`` or ``memory``: it ran into a bound.
        text: Message of the error, with its origin where it is none for users.
        value: What the work returned.
    """

    kind: str
    text: str = ""
    value: Any = None


def outcome(work: Callable[[], Any], for_users: Callable[[BaseException], bool]) -> Outcome:
    """Run work in a copy of this process, and say how it ended.

    Args:
        work: Returns what can be pickled.
        for_users: Whether an error is one that users shall see.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _bound()
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(tuple(_run(work, for_users)), pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    if told:
        return Outcome(*pickle.loads(told))
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if number in (signal.SIGXCPU, signal.SIGKILL):
        return Outcome("slow", f"more than {SECONDS} s")
    return Outcome(
        "crash", signal.Signals(number).name if number else f"exit status {os.waitstatus_to_exitcode(status)}"
    )


def _bound() -> None:
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(null, stream.fileno())


def _run(work: Callable[[], Any], for_users: Callable[[BaseException], bool]) -> Outcome:
    try:
        return Outcome("done", value=work())
    except MemoryError as error:
        return Outcome("memory", _origin(error))
    except BaseException as error:  # SystemExit too
        if "allocate memory" in str(error).lower():
            return Outcome("memory", _origin(error))
        return Outcome("refused", str(error)) if for_users(error) else Outcome("traceback", _origin(error))


def _origin(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "fno_lightning" in frame.filename] or frames
    place = f"{ours[-1].filename.rpartition('fno_lightning/')[2]}:{ours[-1].lineno}" if ours else "?"
    return f"{type(error).__name__} at {place}: {' '.join(str(error).split())[:300]}"
