"""Lightning's counts of a training; every use of what is not its public interface is here.

Lightning counts items of the train loader. Where an item is a super-batch, which takes several steps, these functions
keep its counts, and what it writes at them, those of a training with one batch an item.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from fno_lightning.data.shuffling import items_had


class StepsToLog(Callback):
    """Make Lightning log at the optimizer steps at which a training with one step an item would log.

    Must come before all other callbacks, because some log at the start of a batch.

    Args:
        count: Number of optimizer steps to be taken from an item of the train loader.
    """

    def __init__(self, count: Callable[[Any], int]) -> None:
        self.count = count

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Choose the step of a super-batch to log at."""
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        _log_at(trainer, step_to_log(trainer.global_step, self.count(batch), every))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the validation at the last step."""
        _log_at(trainer, trainer.global_step - 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the next epoch from the end of this one."""
        _log_at(trainer, trainer.global_step)


def step_to_log(n_done: int, n_steps: int, every: int) -> int:
    """Return the step, counted from 0, to log among the next ones: the last that is due, or else the last.

    Args:
        n_done: Number of steps before them.
        n_steps: Number of steps to come.
        every: A step is due if it makes the number of steps a multiple of this; 0: none is.
    """
    last = n_done + n_steps
    due = last // every * every if every else 0
    return (due if due > n_done else last) - 1


def count_step(trainer: Trainer) -> None:
    """Count one optimizer step before the last one of an item; Lightning counts the last one."""
    steps = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step
    steps.increment_completed()
    steps.increment_ready()


def _log_at(trainer: Trainer, step: int) -> None:
    trainer.fit_loop.epoch_loop._batches_that_stepped = step


def steps_between_checkpoints(trainer: Trainer) -> dict[Checkpoint, int]:
    """Return the callbacks that save after a number of steps, and this number."""
    steps = {callback: getattr(callback, "_every_n_train_steps", 0) for callback in trainer.checkpoint_callbacks}
    return {callback: number for callback, number in steps.items() if number > 0}


def items_to_steps(checkpoint: dict[str, Any], steps_of_epoch: int, *, is_last: bool) -> None:
    """Make a checkpoint count its batches as steps, so that any training can resume from it.

    Args:
        checkpoint: Checkpoint to be saved, with the state of the loops.
        steps_of_epoch: Steps taken in the current epoch.
        is_last: Whether the last step that was taken ends its item.
    """
    loop = checkpoint["loops"]["fit_loop"]
    progress = loop["epoch_loop.batch_progress"]
    n_unfinished = progress["total"]["ready"] - progress["total"]["completed"]
    if not is_last:  # as after the end of an ordinary batch, while its last hooks run
        n_unfinished = 1
        progress["is_last_batch"] = False
        for count in (progress["current"], progress["total"]):
            count |= {"ready": 1, "started": 1, "processed": 1, "completed": 0}
    for count, n_steps in ((progress["current"], steps_of_epoch), (progress["total"], checkpoint["global_step"])):
        _move_to(count, n_steps)
    loop["epoch_loop.state_dict"]["_batches_that_stepped"] = checkpoint["global_step"] - n_unfinished


def steps_to_items(checkpoint: dict[str, Any], steps_per_item: int) -> None:
    """Make a loaded checkpoint count its steps as items of several steps."""
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    for count in (progress["current"], progress["total"]):
        _move_to(count, math.ceil(count["ready"] / steps_per_item))


def steps_had(checkpoint: dict[str, Any]) -> int:
    """Return the steps of the epoch that a checkpoint of single steps is from the middle of."""
    return items_had(checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"])


def leave_items(trainer: Trainer, n_items: int) -> int:
    """Make a resumed training count its items such that so many are left of the epoch; return those that it has had."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    n_had = int(trainer.num_training_batches) - n_items
    shift = n_had - items_had(progress.state_dict())
    for count in (progress.current, progress.total):
        for name in ("ready", "started", "processed", "completed"):
            setattr(count, name, getattr(count, name) + shift)
    if n_had == 0:  # the epoch begins with the rest of its first item, and not after a batch
        for name in ("started", "processed", "completed"):
            setattr(progress.total, name, progress.total.ready)
        trainer.fit_loop.epoch_loop.restarting = False
    return n_had


def _move_to(count: dict[str, int], ready: int) -> None:
    shift = ready - count["ready"]
    for name in count:
        count[name] += shift
