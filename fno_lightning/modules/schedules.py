"""Learning-rate schedules as Lightning updates them: how often, over which length, by which error."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeAlias

from lightning.pytorch.utilities import rank_zero_warn
from lightning.pytorch.utilities.types import LRSchedulerConfigType
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from fno_lightning.modules.optimizers import WarmupCosine

Interval: TypeAlias = Literal["step", "epoch"]

_BY_STEP = (WarmupCosine, OneCycleLR, CyclicLR)


def lightning_schedule(
    make: Callable[..., LRScheduler],
    optimizer: Optimizer,
    count_steps: Callable[[], float],
    interval: Interval | None = None,
    frequency: int | None = None,
    *,
    check_val_every_n_epoch: int = 1,
    rate: float | None = None,
) -> LRSchedulerConfigType:
    """Return Lightning's configuration of a schedule.

    A schedule that spans the training, :class:`WarmupCosine` or torch's ``OneCycleLR``, gets the length of it, unless
    it has one of its own.

    Args:
        make: Makes the schedule from the optimizer.
        optimizer: The optimizer to schedule.
        count_steps: Counts the optimizer steps of the training, which may need the data.
        interval: Unit of time of the schedule; ``None``: optimizer steps for :class:`WarmupCosine`, ``OneCycleLR``,
            ``CyclicLR`` and combinations that hold one of them, epochs for all others.
        frequency: Number of these units between two updates, steps counted in each epoch anew; ``None``: one, or for a
            ``ReduceLROnPlateau`` that looks at a validation each epoch with a validation.
        check_val_every_n_epoch: Epochs between two validations.
        rate: Learning rate that was set in the place of the optimizer's own; a ``OneCycleLR`` rises to it.

    Raises:
        ValueError: if the schedule cannot know its length, or a ``ReduceLROnPlateau`` is to look at a validation after
            every step.
    """

    def training_length(name: str) -> int:
        n_steps = count_steps()
        if not math.isfinite(n_steps):
            raise ValueError(
                f"{name} must know how long the training lasts, but max_epochs and max_steps set no end: set one of "
                "them in the trainer, or total_steps in the schedule"
            )
        if interval == "epoch" or (frequency or 1) > 1:
            raise ValueError(
                f"{name} without total_steps counts the optimizer steps of the training, got lr_interval={interval!r} "
                f"and lr_frequency={frequency}: leave these out, or set total_steps in the schedule"
            )
        return int(n_steps)

    scheduler = _make(make, optimizer, training_length, rate)
    if interval is None:
        interval = "step" if any(isinstance(part, _BY_STEP) for part in _parts(scheduler)) else "epoch"
    if not isinstance(scheduler, ReduceLROnPlateau):
        return {"scheduler": scheduler, "interval": interval, "frequency": frequency or 1}
    monitor = getattr(scheduler, "monitor", "val/loss")
    looks_at_validation = monitor.startswith("val/")
    if looks_at_validation and interval == "step" and frequency is None:
        raise ValueError(
            f"ReduceLROnPlateau looks at {monitor}, which only a validation gives, and not after every step: leave "
            "lr_interval out, or set lr_frequency to the number of steps between two validations"
        )
    frequency = frequency or (check_val_every_n_epoch if looks_at_validation else 1)
    return {"scheduler": scheduler, "monitor": monitor, "interval": interval, "frequency": frequency}


def forget_training_lengths(checkpoint: dict[str, Any]) -> None:
    """Let schedules over the length of a training last as long as the one that resumes from this checkpoint."""
    for state in checkpoint.get("lr_schedulers", ()):
        if state.get("has_training_length"):
            del state["total_steps"], state["_schedule_phases"]


def _make(
    make: Callable[..., LRScheduler], optimizer: Optimizer, training_length: Callable[[str], int], rate: float | None
) -> LRScheduler:
    if isinstance(make, partial) and _makes_one_cycle(make):
        return _one_cycle(make, optimizer, training_length, rate)
    scheduler = make(optimizer)
    if rate is not None and any(group.get("initial_lr", rate) != rate for group in optimizer.param_groups):
        rank_zero_warn(f"{type(scheduler).__name__} has learning rates of its own, which lr={rate:.3g} does not change")
    for part in _parts(scheduler):
        if isinstance(part, WarmupCosine) and part.total_steps is None:
            if part is not scheduler:
                raise ValueError(
                    f"WarmupCosine is a part of {type(scheduler).__name__}, which does not tell it how long it lasts: "
                    "give it total_steps"
                )
            part.set_total_steps(training_length("WarmupCosine"))
    return scheduler


def _one_cycle(
    make: partial[LRScheduler], optimizer: Optimizer, training_length: Callable[[str], int], rate: float | None
) -> LRScheduler:
    """Return a ``OneCycleLR``, which cannot be made without its length; remember in its state where that is from."""
    options: dict[str, Any] = {} if rate is None else {"max_lr": rate}
    has_training_length = not any(map(make.keywords.get, ("total_steps", "epochs", "steps_per_epoch")))
    if has_training_length:
        options["total_steps"] = training_length("OneCycleLR")
    scheduler = make(optimizer, **options)
    vars(scheduler)["has_training_length"] = has_training_length
    return scheduler


def _makes_one_cycle(make: partial[Any]) -> bool:
    """Check whether a callable makes a ``OneCycleLR``; that of the command line has the class as an argument."""
    return any(isinstance(part, type) and issubclass(part, OneCycleLR) for part in (make.func, *make.args))


def _parts(scheduler: Any) -> list[Any]:
    """Return the schedules of which this one is a combination, or itself."""
    inner = getattr(scheduler, "_schedulers", ())
    return [part for member in inner for part in _parts(member)] or [scheduler]
