"""At which steps a training of launches logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback, LightningModule, Trainer

from fno_lightning.modules.step_count import log_at

if TYPE_CHECKING:
    from fno_lightning.modules.launch import Launch


class StepsToLog(Callback):
    """Has Lightning log at the optimizer steps at which a training with one step an item would log.

    Goes before all other callbacks, because some log when a launch starts.

    Args:
        launch: What takes the steps.
    """

    def __init__(self, launch: Launch) -> None:
        self.launch = launch

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Chooses which of the steps of a launch to log."""
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        log_at(trainer, step_to_log(trainer.global_step, self.launch.count(batch), every))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Has the validation logged at the last step."""
        log_at(trainer, trainer.global_step - 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Has the next epoch logged from where this one has ended."""
        log_at(trainer, trainer.global_step)


def step_to_log(n_done: int, n_steps: int, every: int) -> int:
    """Returns which of the next steps to log, counted from 0: the last one that is due, if one is, else the last one.

    Args:
        n_done: Steps before them.
        n_steps: How many they are.
        every: A step is due when it makes the number of steps a multiple of this; 0: none is.
    """
    last = n_done + n_steps
    due = last // every * every if every else 0
    return (due if due > n_done else last) - 1
