"""Where Lightning counts the steps of a training; what is not its public interface is all here.

Lightning counts items of the train loader. Where an item holds several batches, which are several steps, these
functions keep its counts, and what it writes at them, those of a training with one batch an item.
"""

from __future__ import annotations

import math
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Checkpoint


def count_step(trainer: Trainer) -> None:
    """Counts one optimizer step before the last one of an item; Lightning counts the last one."""
    steps = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step
    steps.increment_completed()
    steps.increment_ready()


def log_at(trainer: Trainer, step: int) -> None:
    """Makes a step, counted from 0, the one that Lightning asks whether to log, and that it logs."""
    trainer.fit_loop.epoch_loop._batches_that_stepped = step


def is_logged(trainer: Trainer) -> bool:
    """Whether Lightning will write what is logged in the current step."""
    return trainer._logger_connector.should_update_logs or bool(trainer.fast_dev_run)  # type: ignore[attr-defined]


def steps_between_checkpoints(trainer: Trainer) -> dict[Checkpoint, int]:
    """Returns the callbacks that save after a number of steps, and this number."""
    steps = {callback: getattr(callback, "_every_n_train_steps", 0) for callback in trainer.checkpoint_callbacks}
    return {callback: number for callback, number in steps.items() if number > 0}


def items_to_steps(checkpoint: dict[str, Any], steps_of_epoch: int, *, is_last: bool) -> None:
    """Makes a checkpoint count its batches as steps, so that any training can go on from it.

    Args:
        checkpoint: What Lightning saves.
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
    """Makes a checkpoint that is loaded count its steps as items of several steps."""
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    for count in (progress["current"], progress["total"]):
        _move_to(count, math.ceil(count["ready"] / steps_per_item))


def _move_to(count: dict[str, int], ready: int) -> None:
    shift = ready - count["ready"]
    for name in count:
        count[name] += shift
