"""Weights that an evaluation sees, where other callbacks replace those of the module for a while or for good.

Lightning's WeightAveraging, say, puts averaged weights in place at the start of a validation, the module's own back at
its end, and the averaged ones for good at the end of training.
"""

from __future__ import annotations

from typing import Literal

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping


def take_turn(trainer: Trainer, callback: Callback, turn: Literal["first", "last"]) -> None:
    """Let a callback act before all others, or after them, from the next hook on.

    First in the hook that ends an epoch of validation or test, it finds the weights that all batches have seen; last in
    the hook that ends a training, those that the module is left with.
    """
    others = [other for other in trainer.callbacks if other is not callback]  # type: ignore[attr-defined]
    trainer.callbacks = [callback, *others] if turn == "first" else [*others, callback]  # type: ignore[attr-defined]


def validate_at_the_end(trainer: Trainer) -> None:
    """Validate the weights that a training ends with, in the hook ``on_train_end``.

    All errors that are logged then belong to the same weights. Callbacks that save checkpoints or stop the training
    have had their last turn.
    """
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    done = (Checkpoint, EarlyStopping)
    trainer.callbacks = [other for other in callbacks if not isinstance(other, done)]  # type: ignore[attr-defined]
    trainer.validating = True
    try:
        trainer.fit_loop.epoch_loop.val_loop.run()
    finally:
        trainer.training = True
        trainer.callbacks = callbacks  # type: ignore[attr-defined]
