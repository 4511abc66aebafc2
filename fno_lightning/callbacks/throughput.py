"""Rate of training."""

from __future__ import annotations

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from fno_lightning.data import Batch, SuperBatches
from fno_lightning.data.loading import process_count


class Throughput(Callback):
    """Log ``throughput/samples_per_s`` and ``throughput/batches_per_s`` of training, over all devices.

    The clock runs over whole windows of steps, loading of data included, and stands still during validation. It waits
    for the device at the ends of a window only, so that no step is slowed down. With a
    :class:`~fno_lightning.multistep.MultiStepStrategy` the batches are those of single steps, and a window ends with an
    execution.

    Args:
        window: Steps between two measurements, at least; a shorter rest of the training is measured too.
        n_warmup_steps: First steps, which choose kernels and compile networks, and are not counted.

    Raises:
        ValueError: if ``window`` is not positive or ``n_warmup_steps`` is negative.
    """

    def __init__(self, window: int = 50, n_warmup_steps: int = 10) -> None:
        if window < 1 or n_warmup_steps < 0:
            raise ValueError(
                f"window must be at least 1 and n_warmup_steps at least 0, got {window} and {n_warmup_steps}"
            )
        self.window = window
        self.n_warmup_steps = n_warmup_steps
        self._n_steps = 0
        self._global_step = 0
        self._n_batches = 0
        self._n_samples = 0
        self._elapsed = 0.0
        self._started: float | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the warm-up."""
        self._n_steps = 0
        self._global_step = trainer.global_step
        self._start_window()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Start the clock, if it stands still and the device is warm."""
        if self._n_steps >= self.n_warmup_steps and self._started is None:
            self._started = _now(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Count the step, or those of a super-batch, and log when the window is full."""
        is_several = isinstance(trainer.strategy, SuperBatches)
        n_batches = trainer.global_step - self._global_step if is_several else 1
        self._global_step = trainer.global_step
        self._n_steps += n_batches
        if self._started is not None:
            self._n_batches += n_batches
            self._n_samples += len(batch.target)
            if self._n_batches >= self.window:
                self._log(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._stop_clock(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._stop_clock(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the last, incomplete window."""
        if self._n_batches:
            self._log(trainer)

    def _start_window(self) -> None:
        self._n_batches = 0
        self._n_samples = 0
        self._elapsed = 0.0
        self._started = None

    def _stop_clock(self, trainer: Trainer) -> None:
        if self._started is not None:
            self._elapsed += _now(trainer) - self._started
            self._started = None

    def _log(self, trainer: Trainer) -> None:
        """Log the rates of process zero times the number of processes, and start the next window."""
        self._stop_clock(trainer)
        rates = {
            "throughput/samples_per_s": process_count() * self._n_samples / self._elapsed,
            "throughput/batches_per_s": self._n_batches / self._elapsed,
        }
        for logger in trainer.loggers:
            logger.log_metrics(rates, step=trainer.global_step)
        self._start_window()


def _now(trainer: Trainer) -> float:
    """Return the time in seconds, after all work given to the device so far."""
    if trainer.strategy.root_device.type == "cuda":
        torch.cuda.synchronize(trainer.strategy.root_device)
    return time.perf_counter()
