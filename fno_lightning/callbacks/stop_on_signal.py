"""End a training whose time is over, so that it can go on later."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info

TRY_AGAIN = 75
"""Exit status of a program that was ended by a signal and goes on when it is started again (``EX_TEMPFAIL``)."""
NAME = "last-interrupted.ckpt"


class StopOnSignal(Callback):
    """At a signal, write a checkpoint after the step that is running, and end the program with exit status 75.

    Batch systems announce the end of a job: SLURM by what ``--signal`` asks for, others by SIGTERM. The checkpoint,
    ``last-interrupted.ckpt`` beside the others, is one of whole steps, and ``fit --ckpt_path last`` goes on from it
    with the next batch. A start script then queues the job again; ``fno-lightning cluster`` writes one.

    Lightning's own handler for SLURM writes a checkpoint in the middle of a step, wherever the signal meets it, and
    trains on; this one takes its place while the training lasts.

    Args:
        signals: Names of the signals.
        every_n_steps: Where several processes train, they agree every so many steps whether one of them has met the
            signal; a batch system may not tell all of them at once.

    Raises:
        ValueError: if a signal has no such name, or cannot be caught, or ``every_n_steps`` is not positive.
        SystemExit: with status 75, in a training, after the checkpoint is written.
    """

    def __init__(self, signals: Sequence[str] = ("SIGTERM", "SIGUSR1"), every_n_steps: int = 10) -> None:
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps of StopOnSignal is {every_n_steps}, expected at least 1")
        known = {one.name: one for one in signal.valid_signals() if isinstance(one, signal.Signals)}
        for name in signals:
            if name not in known or name in ("SIGKILL", "SIGSTOP"):
                raise ValueError(f"StopOnSignal cannot wait for {name!r}, expected a name such as SIGTERM or SIGUSR1")
        self.signals = [known[name] for name in signals]
        self.every_n_steps = every_n_steps
        self._met: signal.Signals | None = None
        self._former: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait for the signals."""
        self._met = None
        self._former = {one: signal.signal(one, self._meet) for one in self.signals}

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """End the training if a signal was met."""
        is_met = self._met is not None
        if trainer.world_size > 1:
            if trainer.global_step % self.every_n_steps:
                return
            is_met = trainer.strategy.reduce_boolean_decision(is_met, all=False)
        if is_met:
            file = checkpoint_folder(trainer) / NAME
            trainer.save_checkpoint(file)
            name = self._met.name if self._met is not None else "a signal to another process"
            rank_zero_info(
                f"the training is ended by {name} at step {trainer.global_step}; --ckpt_path last goes on from {file}"
            )
            raise SystemExit(TRY_AGAIN)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait no longer."""
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Wait no longer."""
        self._restore()

    def _meet(self, number: int, frame: FrameType | None) -> None:
        self._met = signal.Signals(number)

    def _restore(self) -> None:
        for one, handler in self._former.items():
            signal.signal(one, handler)
        self._former = {}


def checkpoint_folder(trainer: Trainer) -> Path:
    """Return the folder of the first of the trainer's checkpoints, or that of all its files."""
    savers = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
    found = next((saver.dirpath for saver in savers if saver.dirpath is not None), None)
    return Path(found or trainer.default_root_dir)
