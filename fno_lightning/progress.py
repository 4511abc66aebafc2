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
    """Shows the progress of a block; yields a function to be called with the fraction done, from 0 to 1.

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
    """Writes a duration for people, e.g. ``45 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def part_of(report: Callable[[float], None], number: int, n_parts: int) -> Callable[[float], None]:
    """Returns a function that reports the progress of one of several equal parts."""
    return lambda fraction: report((number + fraction) / n_parts)


def _logged(description: str) -> Callable[[float], None]:
    begin = last = time.monotonic()
    is_done = False

    def report(fraction: float) -> None:
        nonlocal last, is_done
        now = time.monotonic()
        if is_done or fraction <= 0 or (fraction < 1 and now - last < SECONDS_BETWEEN_LINES):
            return
        last, is_done = now, fraction >= 1
        elapsed = now - begin
        remaining = elapsed * (1 - fraction) / fraction
        logger.info("%s: %.0f%%, %.0f s elapsed, %.0f s remaining", description, 100 * fraction, elapsed, remaining)

    return report
