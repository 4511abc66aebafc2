"""Callbacks that measure training: the seconds of steps, and what a training took and reached."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

POINTS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Progress of a training at which its steps are timed: the middles of five equal parts."""


class StepTimer(Callback):
    """Time optimizer steps at several points of a training's progress, then stop it.

    With one thread on a CPU it is the time of the processor, which other programs do not prolong, elsewhere that of the
    clock. The number of finished steps is set to that of each point, because steps of a curriculum take longer later.
    The first step at a point is not timed.

    Args:
        seconds: Time to be spent at each point, at least.
        n_steps: Timed steps at each point, at least.
        offset: Steps after each point; other steps draw other random numbers.
        points: Progress of the training, from 0 to 1.
    """

    def __init__(self, seconds: float, n_steps: int = 2, offset: int = 0, points: Sequence[float] = POINTS) -> None:
        self.seconds = seconds
        self.n_steps = n_steps
        self.offset = offset
        self.points = points
        self.seconds_per_step: list[float] = []
        self._started: tuple[float, int] | None = None

    @property
    def mean(self) -> float:
        """Mean seconds of a step over the training."""
        return sum(self.seconds_per_step) / len(self.seconds_per_step)

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.seconds_per_step, self._started = [], None
        self._go_to_point(trainer)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        now, step = _own_time(trainer), trainer.global_step
        if self._started is None:
            self._started = now, step
            return
        elapsed, n_steps = now - self._started[0], step - self._started[1]
        if n_steps < self.n_steps or elapsed < self.seconds:
            return
        self.seconds_per_step.append(elapsed / n_steps)
        self._started = None
        if len(self.seconds_per_step) < len(self.points):
            self._go_to_point(trainer)
        else:
            trainer.should_stop = True

    def _go_to_point(self, trainer: Trainer) -> None:
        progress = self.points[len(self.seconds_per_step)]
        total = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total
        total.completed = total.ready = int(progress * trainer.max_steps) + self.offset


class TrainingRecord(Callback):
    """Record the seconds of training, without validation, and the errors of every validation; kept in checkpoints."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.validations: list[dict[str, float]] = []
        self._started: float | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "validations": self.validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds, self.validations = state_dict["seconds"], state_dict["validations"]

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._started = _now(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._stop(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        errors = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith("val/") and not {"persistence", "mean"} & {*name.split("/")}
        }
        self.validations.append({"step": trainer.global_step, "seconds": self.seconds, **errors})
        self._started = _now(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._stop(trainer)

    def _stop(self, trainer: Trainer) -> None:
        if self._started is not None:
            self.seconds += _now(trainer) - self._started
            self._started = None


def _own_time(trainer: Trainer) -> float:
    """Return the seconds that this process has had a processor to itself, where those are of a single thread."""
    is_single = trainer.strategy.root_device.type == "cpu" and torch.get_num_threads() == 1
    return time.process_time() if is_single else _now(trainer)


def _now(trainer: Trainer) -> float:
    """Return the time in seconds, after all work given to the device so far."""
    if trainer.strategy.root_device.type == "cuda":
        torch.cuda.synchronize(trainer.strategy.root_device)
    return time.perf_counter()
