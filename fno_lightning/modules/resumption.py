"""What Lightning leaves out where a training goes on; every use of what is not its public interface is here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loops.evaluation_loop import RestartStage as ValidationStage
from lightning.pytorch.loops.training_epoch_loop import RestartStage as EpochStage


def resume_loops(trainer: Trainer, metrics: Mapping[str, float]) -> None:
    """Correct the counts of a trainer that resumes, at the start of its training.

    - After a checkpoint from the last batch of an epoch, the end of this epoch is made up for, with its validation if
      one is due. Lightning leaves both out, and does not count the next epoch: checkpoints from it made the next
      training begin it again.
    - After one from the end of an epoch, schedules that follow an error are updated, which they are after it is saved.
    - No callback saves a checkpoint of the step that is there already, in the middle of accumulated gradients.

    Args:
        trainer: The trainer.
        metrics: What was logged last before the checkpoint.
    """
    if not trainer.fit_loop.is_resuming:
        return
    trainer._logger_connector._callback_metrics.update({name: torch.tensor(value) for name, value in metrics.items()})
    for saver in trainer.checkpoint_callbacks:
        if getattr(saver, "_every_n_train_steps", 0) > 0:
            saver._last_global_step_saved = trainer.global_step  # type: ignore[attr-defined]
    loop = trainer.fit_loop
    epochs = loop.epoch_progress.total
    if loop.resumed_on_epoch_end and _knows_errors(trainer):
        loop.epoch_loop.update_lr_schedulers("epoch", update_plateau_schedulers=True)
    if loop.restarted_mid_epoch and epochs.ready == epochs.completed and not _return_to_validation(trainer):
        loop.reset_restart_stage()


def _return_to_validation(trainer: Trainer) -> bool:
    """Go back to between the last batch of an epoch and its validation, if one is due; return whether it is."""
    loop, epoch_loop = trainer.fit_loop, trainer.fit_loop.epoch_loop
    counts: tuple[Any, ...] = (loop.epoch_progress.total, loop.epoch_progress.current)
    for count in counts:
        count.processed -= 1
        count.completed -= 1
    fetcher = loop._data_fetcher
    if fetcher is None or not epoch_loop._should_check_val_fx(fetcher):
        for count in counts:
            count.processed += 1
            count.completed += 1
        return False
    epoch_loop.batch_progress.increment_completed()
    epoch_loop._restart_stage = EpochStage.RESTARTED_ON_LAST
    epoch_loop.val_loop.restarting = False
    epoch_loop.val_loop._restart_stage = ValidationStage.RESTARTED_MID_EVALUATION
    return True


def end_resumed_epoch(trainer: Trainer) -> None:
    """Let schedules that follow an error be updated at the end of an epoch that was resumed, as in any other."""
    if _knows_errors(trainer):
        trainer.fit_loop._restarting = False


def _knows_errors(trainer: Trainer) -> bool:
    """Whether everything is known that schedules follow; checkpoints of earlier versions do not hold it."""
    followed = {config.monitor for config in trainer.lr_scheduler_configs if config.reduce_on_plateau}
    return followed <= trainer.callback_metrics.keys()
