"""Callbacks and schedules that look at the errors of rollouts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lightning.pytorch import Trainer

from fno_lightning.metrics.log_name import ROLLOUT


def observers_of_rollouts(owners: Iterable[Any], trainer: Trainer, every_n_epochs: int) -> list[str]:
    """Return the classes of callbacks or schedules that need the errors of rollouts after every validation.

    One that takes what it monitors at regular epochs only, at which rollouts are evaluated, is not among them: a
    ModelCheckpoint by its ``every_n_epochs``, a schedule by its frequency.

    Args:
        owners: Callbacks, or Lightning's configurations of schedules.
        trainer: Their trainer.
        every_n_epochs: Epochs between two evaluations of rollouts.
    """
    one_an_epoch = validates_once_an_epoch(trainer)
    names = []
    for owner in owners:
        texts = (getattr(owner, name, None) for name in ("monitor", "filename"))
        period = getattr(owner, "frequency", 0) if getattr(owner, "interval", "") == "epoch" else 0
        period = getattr(owner, "every_n_epochs", period) or 0
        is_regular = one_an_epoch and period > 0 and period % every_n_epochs == 0
        if not is_regular and any(f"val/{ROLLOUT}/" in text for text in texts if isinstance(text, str)):
            names.append(type(getattr(owner, "scheduler", owner)).__name__)
    return names


def validates_once_an_epoch(trainer: Trainer) -> bool:
    """Check that no epoch has several validations; Lightning keeps no interval if it is one of time.

    An interval of 1.0 is an epoch, one of 1 a batch.
    """
    interval: object = getattr(trainer, "val_check_interval", None)
    return isinstance(interval, float) and interval == 1
