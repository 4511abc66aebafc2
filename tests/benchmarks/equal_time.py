"""Trainings of configurations by as many optimizer steps as fit into the same time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean, median, pstdev
from typing import Any

import yaml
from lightning.pytorch import Callback

from fno_lightning.cli import FNOCLI
from fno_lightning.cli import main as command_line

N_TIMED, N_ROUNDS = 30, 3
"""Steps that are timed in a round, and rounds."""


class StepClock(Callback):
    """CPU seconds at the end of each training step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        """Note the time."""
        self.times.append(time.process_time())


def train(settings: dict[str, Any], folder: Path, steps: int, callbacks: Sequence[dict[str, Any]]) -> FNOCLI:
    """Train for a number of steps, without validation and logs, with a :class:`StepClock` besides the callbacks."""
    folder.mkdir(parents=True, exist_ok=True)
    trainer = {
        "max_epochs": -1,
        "max_steps": steps,
        "limit_val_batches": 0,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "logger": False,
        "default_root_dir": str(folder),
        "callbacks": [*callbacks, {"class_path": "tests.benchmarks.equal_time.StepClock"}],
    }
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(settings | {"trainer": trainer}))
    return command_line(["fit", "--config", str(config)])


def callback(trained: FNOCLI, name: str) -> Any:
    """Return the callback of a class, which the command line knows by its path, by its name."""
    (found,) = (c for c in trained.trainer.callbacks if type(c).__name__ == name)
    return found


def step_time(name: str, reference: str, file: Path, short_training: Callable[[str, int], FNOCLI]) -> float:
    """Return the CPU seconds of a step, measured once and kept in a file.

    Those of a training other than the reference follow from the ratio of both in the same round, in which other
    programs slow down both alike: the median over the rounds.

    Args:
        name: Which training.
        reference: The one that all are compared with.
        file: Where the times are kept.
        short_training: Trains, by name, for a number of steps.
    """

    def timed(name: str) -> float:
        ends = callback(short_training(name, N_TIMED), "StepClock").times
        return median(after - before for before, after in pairwise(ends[4:]))

    times: dict[str, float] = json.loads(file.read_text()) if file.is_file() else {}
    if name not in times:
        if name == reference:
            found = min(timed(name) for _ in range(N_ROUNDS))
        else:
            ratios = [timed(name) / timed(reference) for _ in range(N_ROUNDS)]
            found = median(ratios) * step_time(reference, reference, file, short_training)
            times |= json.loads(file.read_text())
        times[name] = found
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(times))
    return times[name]


def spread(runs: list[dict[str, Any]], key: str, digits: str) -> str:
    """Return mean and standard deviation of what the runs found, or nothing where they did not look for it."""
    values = [run[key] for run in runs if key in run]
    return f"{mean(values):{digits}} ± {pstdev(values):{digits}}" if values else ""
