"""Ten trainings that are killed, of each kind of fault; ``python -m tests.faults`` does it a hundred times."""

import pytest

from tests.faults.__main__ import run, table
from tests.faults.case import KINDS, Result


@pytest.mark.long
def test_killed_trainings_end_like_others(tmp_path):
    kinds = [*(kind for kind in KINDS if kind != "command line"), "checkpoint", "again", "anywhere", "anywhere"]
    results = run(10, 1, kinds, tmp_path)
    assert len(results) == 10
    assert all(result.killed for result in results)
    assert all(result.same for result in results), table(results)
    assert run(10, 1, kinds, tmp_path) == results  # from the disk


def test_the_table_counts_kills_by_kind():
    same = Result(0, "anywhere", "workers", killed=True, resumed=True, inside=True)
    other = Result(1, "checkpoint", "workers", killed=True, resumed=True, differences=["one step with another loss"])
    alive = Result(2, "checkpoint", "workers")
    rows = table([same, other, alive]).splitlines()[2:]
    assert rows[:3] == [
        "| anywhere | 1 | 1 | 0 | 1 | 1 |",
        "| checkpoint | 1 | 0 | 0 | 1 | 0 |",
        "| all | 2 | 1 | 0 | 2 | 1 |",
    ]
    assert rows[3] == "1 (checkpoint, workers): one step with another loss"
