"""A LightningModule that can take several optimizer steps from one item of the train loader."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import lightning as L
import torch
from lightning.pytorch import Callback
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import Optimizer

from fno_lightning.data import Batch
from fno_lightning.modules.captured_launch import launch_for
from fno_lightning.modules.launch import Launch, count_steps, require_single_batches
from fno_lightning.modules.step_count import is_logged, steps_to_items
from fno_lightning.modules.steps_to_log import StepsToLog


class LaunchingModule(L.LightningModule, ABC):
    """Takes ``steps_per_launch`` optimizer steps from one item of the train loader, if asked to.

    Lightning's loop runs once for each item, and its counts, logs and checkpoints are those of a training that takes
    one step from each batch; see :class:`~fno_lightning.modules.ForecastModule`. A subclass that overrides one of the
    hooks here calls ``super``.

    Args:
        steps_per_launch: Steps to take from an item; ``None``: Lightning's own loop, one batch an item.
        **kwargs: See ``LightningModule``.

    Raises:
        ValueError: if ``steps_per_launch`` is smaller than 1.
    """

    def __init__(self, steps_per_launch: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if steps_per_launch is not None and steps_per_launch < 1:
            raise ValueError(f"steps_per_launch is at least 1, or None for single steps, got {steps_per_launch}")
        self.steps_per_launch = steps_per_launch
        self._launch: Launch | None = None
        self._is_reporting = False
        self._val_check_interval: int | float | None = None
        self._until_first_batch = ExitStack()

    @abstractmethod
    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns the loss and the prediction of a batch."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns the loss of a batch; in a launch, of its next batch."""
        if self._launch is None:
            loss, _ = self.step(batch)
            losses = [loss]
        else:
            loss = self._launch.losses[-1] if self._is_reporting else self._launch.loss()
            losses = self._launch.losses
        if (self._launch is None or len(losses) == self._launch.n_steps) and self._is_loss_due(batch_idx):
            self._log_loss(losses, len(batch.target))
        return loss

    @property
    def has_own_training_step(self) -> bool:
        """Whether a subclass overrides :meth:`training_step`."""
        return type(self).training_step is not LaunchingModule.training_step

    def _is_loss_due(self, batch_idx: int) -> bool:
        """Whether to log, which takes long beside a short step: if it is written, and for the bar twice an epoch."""
        trainer = self.trainer
        return batch_idx == 0 or trainer.is_last_batch or is_logged(trainer)

    def _log_loss(self, losses: list[Tensor], n_samples: int) -> None:
        loss = torch.stack([loss.detach() for loss in losses]).mean()
        self.log("train/loss", loss, on_step=True, on_epoch=False, prog_bar=True, batch_size=n_samples)

    def count_training_steps(self) -> float:
        """Returns how many optimizer steps the training will take; infinitely many if nothing ends it."""
        if self.steps_per_launch is None:
            return self.trainer.estimated_stepping_batches
        return count_steps(self.trainer, self.steps_per_launch)

    # --- one launch --------------------------------------------------------------------------------------------------

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Takes over the batches of a launch."""
        self._until_first_batch.close()
        if self._launch is not None:
            self._launch.load(batch, batch_idx)

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Optimizer | LightningOptimizer,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Takes an optimizer step, or all those of a launch."""

        def step() -> None:
            super(LaunchingModule, self).optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)

        if self._launch is None or optimizer_closure is None:
            step()
        else:
            self._launch.require_item()
            self._launch.run(step, optimizer_closure)
            self._launch.release_item()

    def report(self, closure: Callable[[], Any]) -> None:
        """Tells Lightning the loss of steps that have already been taken.

        Args:
            closure: Lightning's closure, in which the loss is now known and no gradient is left to be computed.
        """
        self._is_reporting = True
        try:
            closure()
        finally:
            self._is_reporting = False

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Zeroes the gradients of an ordinary step."""
        if not self._is_reporting:
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Computes the gradients of an ordinary step."""
        if not self._is_reporting:
            super().backward(loss, *args, **kwargs)

    # --- life cycle --------------------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Checks the trainer's settings, and translates those that count items of the train loader."""
        self._remove_steps_to_log()
        self._restore_val_check_interval()  # an interrupted training has had no teardown
        if stage == "fit" or (self._launch is not None and self._launch.trainer is not self.trainer):
            self._launch = None  # until then it knows what the trainer's counts mean in a checkpoint
        if stage != "fit" or self.steps_per_launch is None:
            return
        require_single_batches(self.trainer)
        interval = self.trainer.val_check_interval
        if isinstance(interval, int):
            self._val_check_interval = interval
            self.trainer.val_check_interval = math.ceil(interval / self.steps_per_launch)

    def teardown(self, stage: str) -> None:
        """Gives the trainer its settings back."""
        self._remove_steps_to_log()
        self._restore_val_check_interval()

    def on_train_start(self) -> None:
        """Prepares the launches."""
        if self.steps_per_launch is None:
            return
        self._launch = launch_for(self, self.trainer, self.steps_per_launch)
        self._callbacks.insert(0, StepsToLog(self._launch))
        if self.trainer.fit_loop.epoch_loop.batch_progress.current.ready == self.trainer.num_training_batches:
            # Lightning takes the steps for items and thinks that the checkpoint is from the middle of an epoch
            self._until_first_batch.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before the epoch")

    def on_train_end(self) -> None:
        """Lets go of what only the training needs."""
        self._until_first_batch.close()
        if self._launch is not None:
            self._launch.release()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Makes a checkpoint of launches one of single steps."""
        if self._launch is not None:
            self._launch.finish_checkpoint(checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Makes a checkpoint of single steps one of launches, where a training is resumed."""
        if self.steps_per_launch is not None and self._is_fitting and "loops" in checkpoint:
            steps_to_items(checkpoint, self.steps_per_launch)

    @property
    def _callbacks(self) -> list[Callback]:
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        return callbacks

    def _remove_steps_to_log(self) -> None:
        self._callbacks[:] = [callback for callback in self._callbacks if not isinstance(callback, StepsToLog)]

    def _restore_val_check_interval(self) -> None:
        if self._val_check_interval is not None:
            self.trainer.val_check_interval = self._val_check_interval
            self._val_check_interval = None

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out, like Lightning, the trainer: a copy does not belong to the training."""
        return super().__getstate__() | {"_launch": None, "_until_first_batch": ExitStack()}

    @property
    def _is_fitting(self) -> bool:
        return self._trainer is not None and self._trainer.state.fn is TrainerFn.FITTING
