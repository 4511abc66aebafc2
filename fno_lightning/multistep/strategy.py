"""Strategies that take several optimizer steps from one item of the train loader."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import BatchSizeFinder, LearningRateFinder
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy, Strategy
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.optim import Optimizer

from fno_lightning.data import Batch, SuperBatches
from fno_lightning.modules import ForecastModule
from fno_lightning.multistep.capture import CapturedExecution, obstacle_to_capture
from fno_lightning.multistep.counting import StepsToLog, steps_had, steps_to_items
from fno_lightning.multistep.cuda_graphs import CudaGraphs
from fno_lightning.multistep.execution import (
    DirectExecution,
    Execution,
    count_training_steps,
    obstacle_to_direct_steps,
)


class _MultiStep(SuperBatches, Strategy):
    """Run Lightning's loop once for ``steps_per_execution`` optimizer steps.

    The train loader serves as many batches in one item, a super-batch. Steps, batches, checkpoints, schedules and logs
    are those of single steps; what counts items, such as the progress bar and callbacks' ``on_train_batch_end``, sees
    whole executions, and validation waits for the end of one.
    """

    def __init__(self, steps_per_execution: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if steps_per_execution < 1:
            raise ValueError(f"steps_per_execution is at least 1, got {steps_per_execution}")
        self.steps_per_execution = steps_per_execution
        self._trainer: Trainer | None = None
        self._execution: Execution | None = None
        self._is_reporting = False
        self._val_check_interval: int | None = None
        self._until_first_batch = ExitStack()

    @property
    def module(self) -> ForecastModule:
        """The module in training.

        Raises:
            TypeError: if it is not a :class:`~fno_lightning.modules.ForecastModule`.
        """
        module: object = self.lightning_module
        if not isinstance(module, ForecastModule):
            raise TypeError(
                f"{type(self).__name__} takes the steps of a ForecastModule, got {type(module).__name__}: subclass "
                "fno_lightning.modules.ForecastModule, or use another strategy"
            )
        return module

    def count_training_steps(self) -> float:
        """Return the number of optimizer steps that the training will take; may be infinite."""
        assert self._trainer is not None
        return count_training_steps(self._trainer, self.steps_per_execution)

    # --- one execution ------------------------------------------------------------------------------------------------

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Take over the batches of a super-batch."""
        self._until_first_batch.close()
        super().on_train_batch_start(batch, batch_idx)
        if self._execution is not None:
            self._execution.load(batch, batch_idx)

    def optimizer_step(self, optimizer: Optimizer, closure: Callable[[], Any], model: Any = None, **kwargs: Any) -> Any:
        """Take all optimizer steps of a super-batch."""

        def step() -> Any:
            return super(_MultiStep, self).optimizer_step(optimizer, closure, model, **kwargs)

        execution = self._execution
        if execution is None:
            return step()
        execution.run(step)
        if execution.is_direct:
            self._report(closure)
        execution.release()
        return None

    def training_step(self, batch: Batch, batch_idx: int) -> Any:
        """Return the loss of the next batch of a super-batch."""
        execution = self._execution
        if execution is None:
            return super().training_step(batch, batch_idx)
        if self._is_reporting:
            output: Any = execution.losses[-1]
        else:
            output = execution.next_loss(lambda part: super(_MultiStep, self).training_step(part, batch_idx))
        has_own_step = type(self.module).training_step is not ForecastModule.training_step
        if len(execution.losses) == execution.n_steps and not has_own_step:
            self.module.log_training_loss(torch.stack(execution.losses).mean(), len(batch.target), batch_idx)
        return output

    def backward(self, closure_loss: Tensor, optimizer: Optimizer | None, *args: Any, **kwargs: Any) -> Tensor:
        """Compute the gradients, unless the steps have already been taken."""
        return closure_loss if self._is_reporting else super().backward(closure_loss, optimizer, *args, **kwargs)

    def _report(self, closure: Callable[[], Any]) -> None:
        """Tell Lightning the loss of steps that have already been taken, and leave their gradients as they are."""
        parameters = list(self.module.parameters())
        gradients = [parameter.grad for parameter in parameters]
        self._is_reporting = True
        try:
            for parameter in parameters:
                parameter.grad = None  # the closure zeroes gradients
            closure()
        finally:
            self._is_reporting = False
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient

    # --- life cycle ---------------------------------------------------------------------------------------------------

    def setup(self, trainer: Trainer) -> None:
        """Check the trainer's settings, and translate those that count items of the train loader."""
        self._trainer = trainer
        self._restore()  # an interrupted training may have had no teardown
        if trainer.state.fn is TrainerFn.FITTING:
            self._execution = None  # until then it knows what the trainer's counts mean in a checkpoint
            _ = self.module
            _require_single_batches(trainer)
            interval = trainer.val_check_interval
            if isinstance(interval, int):
                self._val_check_interval = interval
                trainer.val_check_interval = math.ceil(interval / self.steps_per_execution)
        super().setup(trainer)

    def teardown(self) -> None:
        """Give the trainer its settings back."""
        self._restore()
        super().teardown()

    def on_train_start(self) -> None:
        """Prepare the executions."""
        super().on_train_start()
        trainer = self._trainer
        assert trainer is not None
        self._execution = execution_for(self.module, trainer, self.steps_per_execution)
        if trainer.fit_loop.restarting:
            self._execution.resume_after(self.batches_had)
        trainer.callbacks.insert(0, StepsToLog(self._execution.count))  # type: ignore[attr-defined]
        if trainer.fit_loop.epoch_loop.batch_progress.current.ready == trainer.num_training_batches:
            # Lightning takes the steps for items, and the checkpoint for one from the middle of an epoch
            self._until_first_batch.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before the epoch")

    def on_train_end(self) -> None:
        """Release what only the training needs."""
        super().on_train_end()
        self._until_first_batch.close()
        if isinstance(self._execution, CapturedExecution):
            self._execution.release_graph()

    def save_checkpoint(self, checkpoint: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        """Save a checkpoint of single steps."""
        if self._execution is not None and "loops" in checkpoint:
            self._execution.finish_checkpoint(checkpoint)
        super().save_checkpoint(checkpoint, *args, **kwargs)

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Load a checkpoint of single steps; a training resumes from it in executions."""
        checkpoint = super().load_checkpoint(*args, **kwargs)
        is_fitting = self._trainer is None or self._trainer.state.fn is TrainerFn.FITTING
        if is_fitting and "loops" in checkpoint:
            self.batches_had = steps_had(checkpoint)
            steps_to_items(checkpoint, self.steps_per_execution)
        return checkpoint

    def _restore(self) -> None:
        """Remove what this strategy has added to the trainer or changed in it; nothing before the first setup."""
        if self._trainer is None:
            return
        callbacks: list[Any] = self._trainer.callbacks  # type: ignore[attr-defined]
        callbacks[:] = [callback for callback in callbacks if not isinstance(callback, StepsToLog)]
        if self._val_check_interval is not None:
            self._trainer.val_check_interval = self._val_check_interval
            self._val_check_interval = None


class MultiStepStrategy(_MultiStep, SingleDeviceStrategy):
    """Take several optimizer steps at once on one device, which makes short steps faster.

    Lightning's loop runs once for all of them. On a CUDA device they are one CUDA graph; elsewhere, or where something
    is in the way, they are a plain loop, and the log names the reason. Weights, optimizer state, schedules, checkpoints
    and logs are those of single steps. The train loader of a :class:`~fno_lightning.data.FieldDataModule` serves
    super-batches by itself; another loader's ``batch_size`` is ``steps_per_execution`` times the size of a batch.

    A CUDA graph repeats what it captured: values that :meth:`~fno_lightning.modules.ForecastModule.step` reads beside
    the batch and the optimizer's settings, such as a weight of the loss that changes by epoch, must be tensors that are
    changed in place. (The logic of the graphs is tested, but not yet on a GPU.)

    Args:
        steps_per_execution: Optimizer steps to take at once.
        **kwargs: See Lightning's ``SingleDeviceStrategy``.

    Raises:
        ValueError: if ``steps_per_execution`` is smaller than 1, the trainer has several devices, or its settings,
            schedules or loader do not go with several steps at once.
        TypeError: if the module is not a :class:`~fno_lightning.modules.ForecastModule`.
    """

    strategy_name = "multi_step"

    def __init__(self, steps_per_execution: int, **kwargs: Any) -> None:
        super().__init__(steps_per_execution, **kwargs)
        self._devices: list[torch.device] | None = None

    @property
    def parallel_devices(self) -> list[torch.device] | None:
        """The device that the trainer's ``accelerator`` and ``devices`` choose, in a list, once there is a trainer."""
        return self._devices

    @parallel_devices.setter
    def parallel_devices(self, devices: list[torch.device] | None) -> None:
        if devices is not None and len(devices) > 1:
            raise ValueError(
                f"MultiStepStrategy trains on one device, but the trainer has {len(devices)}: set devices=1, or use "
                "MultiStepDDPStrategy"
            )
        self._devices = devices

    @property
    def root_device(self) -> torch.device:
        """The device that trains."""
        return self._devices[0] if self._devices else self._root_device


class MultiStepDDPStrategy(_MultiStep, DDPStrategy):
    """Take several optimizer steps from one super-batch on each of several devices, by distributed data parallelism.

    Lightning takes each step, gradients are reduced in each, and little time is saved.

    Args:
        steps_per_execution: Optimizer steps to take from an item of the train loader.
        **kwargs: See Lightning's ``DDPStrategy``.

    Raises:
        ValueError, TypeError: as :class:`MultiStepStrategy`.
    """

    strategy_name = "multi_step_ddp"


def execution_for(module: ForecastModule, trainer: Trainer, steps_per_execution: int) -> Execution:
    """Return the fastest execution that a training allows, and log the obstacle to a faster one."""
    obstacle = obstacle_to_direct_steps(module, trainer)
    if obstacle is not None:
        rank_zero_info(f"Lightning takes each of the {steps_per_execution} steps of an execution, because {obstacle}")
        return Execution(module, trainer, steps_per_execution)
    obstacle = obstacle_to_capture(trainer)
    if obstacle is not None:
        rank_zero_info(f"the {steps_per_execution} steps of an execution are a plain loop, because {obstacle}")
        return DirectExecution(module, trainer, steps_per_execution)
    return CapturedExecution(module, trainer, steps_per_execution, CudaGraphs(trainer.strategy.root_device))


def _require_single_batches(trainer: Trainer) -> None:
    """Raise if the trainer does not take one step from each batch of an ordinary training."""
    if trainer.accumulate_grad_batches != 1:
        raise ValueError(
            f"steps_per_execution takes an optimizer step from every batch, but the trainer has "
            f"accumulate_grad_batches={trainer.accumulate_grad_batches}: choose a larger batch_size, or leave out one "
            "of the two"
        )
    overfit_batches: float = trainer.overfit_batches  # type: ignore[attr-defined]
    if overfit_batches > 0:
        raise ValueError(
            f"the trainer has overfit_batches={overfit_batches}, which counts items of the train loader: use another "
            "strategy to overfit"
        )
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, BatchSizeFinder | LearningRateFinder):
            raise ValueError(
                f"{type(callback).__name__} has to see every step, and steps_per_execution takes several at once: "
                "use the finder with another strategy first, and train with what it suggests"
            )
