"""Optimizer steps without what Lightning does around each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor
from torch.optim import Optimizer

from fno_lightning.data import Batch
from fno_lightning.modules.launch import Launch

if TYPE_CHECKING:
    from fno_lightning.modules.launching import LaunchingModule

_HOOKS_OF_A_STEP = ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")


class DirectLaunch(Launch):
    """Takes the optimizer steps of a launch one after the other, and tells Lightning of them at the end.

    The steps are what Lightning's are without its hooks, counters and profiler, which for a short step cost more than
    the step's own Python. :func:`obstacle_to_direct_steps` says where this is not possible.
    """

    def __init__(self, module: LaunchingModule, trainer: Trainer, steps_per_launch: int) -> None:
        super().__init__(module, trainer, steps_per_launch)
        self.optimizer: Optimizer = trainer.optimizers[0]

    def run(self, step: Callable[[], None], closure: Callable[[], Any]) -> None:
        """Takes the steps of the launch."""
        for number, batch in enumerate(self.batches):
            if number:
                self.finish_step()
            self.losses.append(self.take_step(batch))
            self.n_done = number + 1
        self.module.report(closure)

    def take_step(self, batch: Batch) -> Tensor:
        """Takes one step and returns its loss."""
        trainer, module, optimizer = self.trainer, self.module, self.optimizer
        with torch.enable_grad():
            with trainer.precision_plugin.train_step_context():
                loss, _ = module.step(batch)
            module.optimizer_zero_grad(trainer.current_epoch, self.batch_idx, optimizer)
            module.backward(loss)
        module.configure_gradient_clipping(optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm)
        optimizer.step()
        return loss.detach()


def obstacle_to_direct_steps(module: LaunchingModule, trainer: Trainer) -> str | None:
    """Says why Lightning itself must take each step; ``None``: it need not."""
    if not isinstance(trainer.strategy, SingleDeviceStrategy):
        return f"{type(trainer.strategy).__name__} may train on several devices"
    if getattr(trainer.precision_plugin, "scaler", None) is not None:
        return "the loss scale of precision 16-mixed depends on the gradients of each step; bf16-mixed has none"
    if module.has_own_training_step:
        return f"{type(module).__name__} overrides training_step; a launch by itself takes the loss from step"
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
