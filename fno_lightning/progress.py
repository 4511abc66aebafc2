"""Progress of long steps: a bar on a terminal, now and then a line in a log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def progress_bar(description: str, console: Console | None = None) -> Iterator[Callable[[float], None]]:
    """Show the progress of a block; yield a function to be called with the fraction done, from 0 to 1.

    Args:
        description: What is being done.
        console: Where to show it; the standard error stream unless given.
    """
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield _logged(description)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task(description, total=1.0)
        yield lambda fraction: progress.update(task, completed=fraction)


def duration(seconds: float) -> str:
    """Write a duration for people, e.g. ``45 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def part_of(report: Callable[[float], None], number: int, n_parts: int) -> Callable[[float], None]:
    """Return a function that reports the progress of one of several equal parts.

    Args:
        report: Function that reports the progress of the whole.
        number: Number of the part, from 0.
        n_parts: Number of parts.
    """
    return lambda fraction: report((number + fraction) / n_parts)


class RemainingTime:
    """Estimate of the remaining time of a task, from its reports of progress.

    The slowest step between two reports does not count, as it may hold work that is done once, such as a compilation.
    An estimate needs more progress than such a step made: of equal steps, two others.
    """

    def __init__(self) -> None:
        self._elapsed = self._fraction = 0.0
        self._slowest = (0.0, 0.0)

    def after(self, elapsed: float, fraction: float) -> float | None:
        """Return the estimate in seconds, ``None`` without one.

        Args:
            elapsed: Seconds since the task began.
            fraction: Fraction of the task that is done.
        """
        seconds, done = elapsed - self._elapsed, fraction - self._fraction
        if done > 0:
            self._elapsed, self._fraction = elapsed, fraction
            slowest_pace = self._slowest[0] / self._slowest[1] if self._slowest[1] > 0 else -1.0
            if seconds / done > slowest_pace + 1e-6:  # of equal steps the first
                self._slowest = seconds, done
        if fraction >= 1:
            return 0.0
        counted = self._fraction - self._slowest[1]
        if counted < 1.5 * self._slowest[1]:
            return None
        return (self._elapsed - self._slowest[0]) * (1 - fraction) / counted


def _logged(description: str) -> Callable[[float], None]:
    begin = last = time.monotonic()
    remaining_time = RemainingTime()
    is_done = False

    def report(fraction: float) -> None:
        nonlocal last, is_done
        now = time.monotonic()
        if is_done or fraction <= 0:
            return
        remaining = remaining_time.after(now - begin, fraction)
        if fraction < 1 and now - last < SECONDS_BETWEEN_LINES:
            return
        last, is_done = now, fraction >= 1
        estimate = "" if remaining is None else f", {remaining:.0f} s remaining"
        logger.info("%s: %.0f%%, %.0f s elapsed%s", description, 100 * fraction, now - begin, estimate)

    return report
