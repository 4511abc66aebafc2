"""The optimizer steps of a super-batch, one after the other."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.types import LRSchedulerConfig
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from fno_lightning.data import Batch, FieldDataModule
from fno_lightning.modules import ForecastModule
from fno_lightning.multistep.counting import count_step, items_to_steps, leave_items, steps_between_checkpoints

_HOOKS_OF_A_STEP = ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")


class Execution:
    """Take the optimizer steps of a super-batch, each as Lightning takes a single one.

    Learning-rate schedules and averages of the weights are updated, and checkpoints that fall due are saved, between
    the steps.

    Args:
        module: The module in training.
        trainer: Its trainer.
        steps_per_execution: Number of batches in a super-batch.

    Raises:
        ValueError: if a schedule does not allow several steps at once, or the train loader does not tell the size of a
            batch.
    """

    is_direct: ClassVar[bool] = False
    """Whether the steps are taken without Lightning, which then has to be told the loss."""

    def __init__(self, module: ForecastModule, trainer: Trainer, steps_per_execution: int) -> None:
        self.module = module
        self.trainer = trainer
        self.steps_per_execution = steps_per_execution
        self.batch_size = batch_size_of(trainer, steps_per_execution)
        _schedules_of_steps(trainer)
        self.checkpoints = steps_between_checkpoints(trainer)
        self.averages = averages_of_steps(trainer)
        self.batch_idx = 0
        self.item: Batch | None = None
        self.batches: list[Batch] = []
        self.n_steps = 0
        self.losses: list[Tensor] = []
        self.n_done = 0
        self._resumed_epoch, self._steps_before = -1, 0

    def resume_after(self, n_steps: int) -> None:
        """Go on after so many steps of the current epoch, in the middle of an item perhaps."""
        n_left = _steps_of_epoch(self.trainer, self.steps_per_execution) - n_steps
        if n_steps and n_left > 0:
            n_items = leave_items(self.trainer, math.ceil(n_left / self.steps_per_execution))
            self._resumed_epoch = self.trainer.current_epoch
            self._steps_before = n_steps - n_items * self.steps_per_execution

    @property
    def schedules(self) -> list[Any]:
        """Schedules that are updated every step; callbacks such as StochasticWeightAveraging replace them."""
        return _schedules_of_steps(self.trainer)

    @property
    def steps_of_epoch(self) -> int:
        """Steps taken in the current epoch."""
        n_items = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        if not n_items:
            return 0
        before = self._steps_before if self.trainer.current_epoch == self._resumed_epoch else 0
        return (n_items - 1) * self.steps_per_execution + self.n_done + before

    def count(self, item: Batch) -> int:
        """Return the number of steps to take from a super-batch; less than it allows, if the training ends before."""
        n_batches = -(-len(item.target) // self.batch_size)
        max_steps = self.trainer.max_steps
        return n_batches if max_steps < 0 else min(n_batches, max_steps - self.trainer.global_step)

    def load(self, item: Batch, batch_idx: int) -> None:
        """Split a super-batch into its batches.

        Raises:
            ValueError: if it holds more batches than ``steps_per_execution``.
        """
        batches = split(item, self.batch_size)
        if len(batches) > self.steps_per_execution:
            raise ValueError(
                f"an item of the train loader has {len(item.target)} samples, which is more than "
                f"steps_per_execution={self.steps_per_execution} batches of {self.batch_size}"
            )
        self.item, self.batch_idx = item, batch_idx
        self.n_steps = self.count(item)
        self.batches = batches[: self.n_steps]
        self.losses, self.n_done = [], 0

    def run(self, step: Callable[[], Any]) -> None:
        """Take the steps.

        Args:
            step: Takes the next step, as in an ordinary training.
        """
        for number in range(len(self.batches)):
            if number:
                self._finish_step()
            step()
            self.n_done = number + 1

    def next_loss(self, training_step: Callable[[Batch], Any]) -> Any:
        """Return the output of a training step on the next batch, and keep its loss."""
        output = training_step(self.batches[self.n_done])
        del self.losses[self.n_done :]  # some optimizers call their closure several times
        loss: Tensor = output["loss"] if isinstance(output, dict) else output
        self.losses.append(loss.detach())
        return output

    def _finish_step(self) -> None:
        """Do, after a step that is not the last, what Lightning does after a step."""
        count_step(self.trainer)
        self.update_schedules()
        step = self.trainer.global_step
        due = [callback for callback, every in self.checkpoints.items() if step % every == 0]
        for callback in (*self.averages, *due):
            outputs = {"loss": self.losses[-1]}
            callback.on_train_batch_end(self.trainer, self.module, outputs, self.item, self.batch_idx)

    def update_schedules(self) -> None:
        """Update the schedules that are updated every step."""
        for schedule in self.schedules:
            self.module.lr_scheduler_step(schedule, None)

    def finish_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Turn a checkpoint of super-batches into one of single steps."""
        items_to_steps(checkpoint, self.steps_of_epoch, is_last=self.n_done == self.n_steps)

    def release(self) -> None:
        """Release the tensors of the last super-batch."""
        self.item = None
        self.batches, self.losses = [], []


class DirectExecution(Execution):
    """Take the optimizer steps of a super-batch without Lightning's hooks, counters and profiler around each.

    The steps are the same; for short ones the hooks cost more than the step's own Python.
    :func:`obstacle_to_direct_steps` names the cases in which this is not possible.
    """

    is_direct = True

    def __init__(self, module: ForecastModule, trainer: Trainer, steps_per_execution: int) -> None:
        super().__init__(module, trainer, steps_per_execution)
        self.optimizer: Optimizer = trainer.optimizers[0]

    def run(self, step: Callable[[], Any]) -> None:
        """Take the steps; ``step`` is not called."""
        for number, batch in enumerate(self.batches):
            if number:
                self._finish_step()
            self.losses.append(self.take_step(batch))
            self.n_done = number + 1

    def take_step(self, batch: Batch) -> Tensor:
        """Take one step and return its loss."""
        trainer, module, optimizer = self.trainer, self.module, self.optimizer
        with torch.enable_grad():
            with trainer.precision_plugin.train_step_context():
                loss, _ = module.step(batch)
            module.optimizer_zero_grad(trainer.current_epoch, self.batch_idx, optimizer)
            module.backward(loss)
        module.configure_gradient_clipping(optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm)
        optimizer.step()
        return loss.detach()


def split(item: Batch, batch_size: int) -> list[Batch]:
    """Return the batches of a super-batch in order; the last may be smaller."""
    return [Batch(*parts) for parts in zip(*(torch.split(part, batch_size) for part in item), strict=True)]


def batch_size_of(trainer: Trainer, steps_per_execution: int) -> int:
    """Return the number of samples in a batch.

    Raises:
        ValueError: if the train loader does not tell.
    """
    data: object = getattr(trainer, "datamodule", None)
    if isinstance(data, FieldDataModule):
        return data.batch_size
    loader = trainer.train_dataloader
    size = loader.batch_size if isinstance(loader, DataLoader) else None
    if size is None or size % steps_per_execution:
        raise ValueError(
            f"with steps_per_execution={steps_per_execution} an item of the train loader holds {steps_per_execution} "
            f"batches, but the loader's batch_size is {size}: make it {steps_per_execution} times the size of a batch, "
            "or use a FieldDataModule, which sees to it"
        )
    return size // steps_per_execution


def count_training_steps(trainer: Trainer, steps_per_execution: int) -> float:
    """Return the number of optimizer steps that a training will take, as far as it is known; may be infinite."""
    estimate = trainer.estimated_stepping_batches
    n_items = trainer.num_training_batches
    if trainer.max_epochs in (-1, None) or n_items == float("inf"):
        return estimate
    n_steps = _steps_of_epoch(trainer, steps_per_execution) * max(1, trainer.max_epochs or 1)
    return n_steps if trainer.max_steps < 0 else min(n_steps, trainer.max_steps)


def _steps_of_epoch(trainer: Trainer, steps_per_execution: int) -> int:
    loader = trainer.train_dataloader
    n_steps = int(trainer.num_training_batches) * steps_per_execution
    if isinstance(loader, DataLoader) and loader.batch_size is not None:
        n_samples = len(loader.sampler)  # type: ignore[arg-type]
        batch_size = batch_size_of(trainer, steps_per_execution)
        n_steps = min(n_steps, n_samples // batch_size if loader.drop_last else -(-n_samples // batch_size))
    return n_steps


def averages_of_steps(trainer: Trainer) -> list[WeightAveraging]:
    """Return the callbacks that average the weights after each step."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return [callback for callback in callbacks if isinstance(callback, WeightAveraging)]


def obstacle_to_direct_steps(module: ForecastModule, trainer: Trainer) -> str | None:
    """Return the reason why Lightning itself must take each step; ``None``: there is none."""
    if not isinstance(trainer.strategy, SingleDeviceStrategy):
        return f"{type(trainer.strategy).__name__} may train on several devices"
    if getattr(trainer.precision_plugin, "scaler", None) is not None:
        return "the loss scale of precision 16-mixed depends on the gradients of each step; bf16-mixed has none"
    if type(module).training_step is not ForecastModule.training_step:
        return f"{type(module).__name__} overrides training_step; direct steps take the loss from step"
    if torch.is_anomaly_enabled():
        return "detect_anomaly looks at each step"
    step = inspect.signature(type(trainer.optimizers[0]).step).parameters
    if step["closure"].default is inspect.Parameter.empty:
        return f"{type(trainer.optimizers[0]).__name__} computes the loss several times in a step"
    return _observer_of_steps(module, trainer)


def _observer_of_steps(module: LightningModule, trainer: Trainer) -> str | None:
    observers: list[tuple[object, type]] = [(module, LightningModule)]
    observers += [(callback, Callback) for callback in trainer.callbacks]  # type: ignore[attr-defined]
    for observer, base in observers:
        for hook in _HOOKS_OF_A_STEP:
            if getattr(type(observer), hook) is not getattr(base, hook):
                return f"{type(observer).__name__} has the hook {hook}, which runs in each step"
    return None


def _schedules_of_steps(trainer: Trainer) -> list[Any]:
    """Return the schedules that are updated every optimizer step; raise if one has another rhythm."""
    configs: list[LRSchedulerConfig] = [c for c in trainer.lr_scheduler_configs if c.interval == "step"]
    for config in configs:
        if config.frequency != 1 or config.reduce_on_plateau:
            raise ValueError(
                f"steps_per_execution allows schedules that are updated every epoch or every step, but "
                f"{type(config.scheduler).__name__} has interval=step with frequency={config.frequency}, "
                f"reduce_on_plateau={config.reduce_on_plateau}: choose lr_interval=epoch, or another strategy"
            )
    return [config.scheduler for config in configs]
