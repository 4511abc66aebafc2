"""When rollouts are evaluated in a training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_info

from fno_lightning.callbacks.monitors import observers_of_rollouts, validates_once_an_epoch


class EvaluationSchedule:
    """Decide which validations of a training evaluate rollouts: one every few epochs, the last, or all.

    Args:
        every_n_epochs: Epochs between two evaluations; where an epoch has several validations, its last one evaluates.

    Attributes:
        has_ended: Whether the training has ended, so that the validation under way is its last.
    """

    def __init__(self, every_n_epochs: int) -> None:
        self.every_n_epochs = every_n_epochs
        self.has_ended = False
        self._is_monitored = False
        self._last_epoch = 0
        self._last_step = 0

    def serve(self, trainer: Trainer, owners: Iterable[Any]) -> None:
        """Evaluate in every validation, if a callback or a schedule monitors an error of rollouts in every one."""
        observers = observers_of_rollouts(owners, trainer, self.every_n_epochs)
        if observers and (self.every_n_epochs > 1 or not validates_once_an_epoch(trainer)):
            rank_zero_info(
                f"rollouts are evaluated in every validation, not only every {self.every_n_epochs} epochs, because of "
                f"what the callbacks or schedules {' and '.join(observers)} monitor"
            )
        self._is_monitored |= bool(observers)

    def start(self, trainer: Trainer) -> None:
        """Count epochs and steps from here, also when training is resumed."""
        self._last_epoch, self._last_step = trainer.current_epoch, trainer.global_step

    def evaluated(self, trainer: Trainer) -> None:
        """Take down that rollouts are evaluated now."""
        self._last_epoch, self._last_step = trainer.current_epoch + 1, trainer.global_step

    def has_trained_since(self, trainer: Trainer) -> bool:
        """Check whether there were steps since the last evaluation."""
        return trainer.global_step > self._last_step

    def is_last(self, trainer: Trainer) -> bool:
        """Check whether this is the last validation of the training, as far as is known."""
        n_epochs = trainer.current_epoch + 1
        is_at_the_end = n_epochs == trainer.max_epochs or trainer.global_step == trainer.max_steps
        return self.has_ended or (is_at_the_end and _ends_epoch(trainer))

    def is_due(self, trainer: Trainer) -> bool:
        """Check whether this validation evaluates: the first one after a multiple of the epochs, the last, or all."""
        n_epochs = trainer.current_epoch + 1
        if self._is_monitored or self.has_ended:
            return True
        if n_epochs <= self._last_epoch or not _ends_epoch(trainer):
            return False
        return self.is_last(trainer) or n_epochs // self.every_n_epochs > self._last_epoch // self.every_n_epochs


def _ends_epoch(trainer: Trainer) -> bool:
    """Check that no validation follows in this epoch, as far as is known: not without a length, or by a clock."""
    if trainer.val_check_batch is None or trainer.num_training_batches == float("inf"):
        return True
    return trainer.num_training_batches - (trainer.fit_loop.batch_idx + 1) < trainer.val_check_batch
