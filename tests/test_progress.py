import io
import logging

import pytest
from rich.console import Console

from fno_lightning.progress import RemainingTime, part_of, progress_bar


def test_a_terminal_gets_a_bar(caplog):
    caplog.set_level(logging.INFO)
    screen = io.StringIO()
    with progress_bar("Counting", Console(file=screen, force_terminal=True, width=100)) as report:
        report(0.5)
        report(1.0)
    assert "Counting" in screen.getvalue()
    assert "100%" in screen.getvalue()
    assert caplog.text == ""


def test_a_log_gets_a_line_now_and_then(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    clock = iter([0, 0, 4, 12, 15, 20, 21])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with progress_bar("Counting", Console(file=io.StringIO())) as report:
        for fraction in (0.0, 0.2, 0.6, 0.75, 1.0, 1.0):
            report(fraction)
    assert caplog.messages == [
        "Counting: 60%, 12 s elapsed, 8 s remaining",
        "Counting: 100%, 20 s elapsed, 0 s remaining",
    ]


@pytest.mark.parametrize("start", [[], [(0.5, 0.01)]], ids=["at the beginning", "after a first piece"])
def test_what_is_done_once_is_not_part_of_the_estimate(start):
    """A compilation of 60 s, and then pieces of 4 s each."""
    remaining = RemainingTime()
    estimates = [remaining.after(*report) for report in [*start, *((60 + 4 * n, n / 10) for n in range(1, 11))]]
    assert estimates[:-8] == [None] * (len(start) + 2)
    assert estimates[-8:] == pytest.approx([4 * (10 - n) for n in range(3, 11)], rel=0.05)


def test_a_report_without_progress_does_not_count():
    remaining = RemainingTime()
    assert remaining.after(3, 0.5) is None
    assert remaining.after(4, 0.5) is None
    assert remaining.after(5, 0.75) == pytest.approx(3 / 0.5 * 0.25)


def test_a_task_that_reports_its_end_alone_has_nothing_left():
    assert RemainingTime().after(3, 1.0) == 0


def test_parts_add_up_to_the_whole():
    reported = []
    for number in range(4):
        part_of(reported.append, number, 4)(0.5)
    assert reported == [0.125, 0.375, 0.625, 0.875]
