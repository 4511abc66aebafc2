"""All optimizer steps of a super-batch by one replay of a captured graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.optim import Optimizer

from fno_lightning.data import Batch
from fno_lightning.layers import spectral_layers
from fno_lightning.modules import ForecastModule
from fno_lightning.multistep.counting import count_step
from fno_lightning.multistep.cuda_graphs import GraphCapture
from fno_lightning.multistep.execution import DirectExecution, averages_of_steps, split

_N_WARM_UP_STEPS = 3

Settings: TypeAlias = list[dict[str, Any]]
"""Learning rate and other plain settings of each parameter group."""


class CapturedExecution(DirectExecution):
    """Take all optimizer steps of a super-batch by one replay: forward, backward, clipping, update.

    The first steps are taken one by one, and warm up what is captured afterwards. A super-batch that is unlike the
    captured one is taken step by step, too: with fewer steps, on another grid, with a checkpoint that falls due within
    it, or where a schedule changes something other than the learning rate.

    Args:
        module: The module in training.
        trainer: Its trainer.
        steps_per_execution: Number of batches in a super-batch.
        graphs: Captures the steps.
    """

    def __init__(
        self, module: ForecastModule, trainer: Trainer, steps_per_execution: int, graphs: GraphCapture
    ) -> None:
        super().__init__(module, trainer, steps_per_execution)
        self.graphs = graphs
        self.captured: CapturedSteps | None = None
        self.can_capture = True
        self._n_warm = 0
        self._loss_type = torch.float32
        self._layers = spectral_layers(module.network)
        self._modes = self._kept_modes()
        self._capturable = [group.get("capturable") for group in self.optimizer.param_groups]
        graphs.prepare(self.optimizer)

    def run(self, step: Callable[[], Any]) -> None:
        """Take the steps, by a replay if that is possible."""
        if self._modes != self._kept_modes():  # other products, to be captured anew
            self.release_graph()
            self._n_warm, self._modes = 0, self._kept_modes()
        if not self.can_capture or len(self.batches) < self.steps_per_execution or self._is_interrupted():
            super().run(step)
        elif self._n_warm < _N_WARM_UP_STEPS:
            with self.graphs.warm_up():
                super().run(step)
            self._n_warm += len(self.batches)
            self._loss_type = self.losses[0].dtype
        else:
            self._run_captured()

    def _run_captured(self) -> None:
        assert self.item is not None
        settings = self._settings_ahead()
        captured = self.captured or self._capture(self.item)
        if captured is not None and captured.fits(self.item, settings):
            self.losses = list(captured.replay(self.item, settings))
        else:
            self.losses = [
                self._take_step_with(of_step, batch) for of_step, batch in zip(settings, self.batches, strict=True)
            ]
        for _ in self.batches[1:]:
            count_step(self.trainer)
        self.n_done = len(self.batches)

    def _take_step_with(self, settings: Settings, batch: Batch) -> Tensor:
        """Take a step after the schedules have already been updated for others to come."""
        for group, values in zip(self.optimizer.param_groups, settings, strict=True):
            group |= values
        return self.take_step(batch)

    def _capture(self, item: Batch) -> CapturedSteps | None:
        try:
            self.captured = CapturedSteps(
                item, self.batch_size, self.optimizer, self.take_step, self._loss_type, self.graphs
            )
        except RuntimeError as error:
            self.can_capture = False
            rank_zero_info(f"the steps of an execution are a plain loop, because they cannot be captured: {error}")
        return self.captured

    def _settings_ahead(self) -> list[Settings]:
        """Update the schedules for all steps of the super-batch and return the settings of each."""
        settings = [settings_of(self.optimizer)]
        for _ in self.batches[1:]:
            self.update_schedules()
            settings.append(settings_of(self.optimizer))
        return settings

    def _kept_modes(self) -> list[tuple[int, ...]]:
        return [layer.kept_modes for layer in self._layers.values()]

    def _is_interrupted(self) -> bool:
        """Whether a checkpoint falls due within the super-batch."""
        first = self.trainer.global_step
        last = first + len(self.batches) - 1
        return any(last // every > first // every for every in self.checkpoints.values())

    def finish_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Turn a checkpoint of super-batches into one of single steps, on any device."""
        super().finish_checkpoint(checkpoint)
        for state in checkpoint.get("optimizer_states", []):
            for group, capturable in zip(state["param_groups"], self._capturable, strict=True):
                group["capturable"] = capturable

    def release_graph(self) -> None:
        """Release the captured graph and its memory."""
        self.captured = None


class CapturedSteps:
    """Optimizer steps on batches of fixed shapes, with learning rates that may differ from step to step and replay.

    Args:
        item: A super-batch, as an example of those to come.
        batch_size: Number of samples in a batch.
        optimizer: The optimizer to step.
        take_step: Takes a step on a batch and returns its loss.
        loss_type: Data type of the losses.
        graphs: Captures the steps.

    Raises:
        RuntimeError: if the steps cannot be captured.
    """

    def __init__(
        self,
        item: Batch,
        batch_size: int,
        optimizer: Optimizer,
        take_step: Callable[[Batch], Tensor],
        loss_type: torch.dtype,
        graphs: GraphCapture,
    ) -> None:
        self.optimizer = optimizer
        self.take_step = take_step
        self.item = Batch(*(part.clone() for part in item))
        self.batches = split(self.item, batch_size)
        self.fixed = _without_rates(settings_of(optimizer))
        device, n_groups = item.target.device, len(optimizer.param_groups)
        rate_type = torch.promote_types(optimizer.param_groups[0]["params"][0].dtype, torch.float32).to_real()
        self.rates = torch.zeros(len(self.batches), n_groups, dtype=rate_type, device=device)
        self.losses = torch.zeros(len(self.batches), dtype=loss_type, device=device)
        self._filled: list[list[float]] | None = None
        self._replay = graphs.capture(self._take_steps)
        self._addresses = _addresses(optimizer)

    def fits(self, item: Batch, settings: Sequence[Settings]) -> bool:
        """Whether the captured steps are those to take on a super-batch, with these settings in each step.

        They are not if a parameter or a state of the optimizer has moved, or training of a parameter was switched.
        """
        if _addresses(self.optimizer) != self._addresses:
            return False
        same_shapes = all(
            new.shape == old.shape and new.dtype == old.dtype for new, old in zip(item, self.item, strict=True)
        )
        return same_shapes and all(_without_rates(of_step) == self.fixed for of_step in settings)

    def replay(self, item: Batch, settings: Sequence[Settings]) -> Tensor:
        """Take the steps on a super-batch, and return the losses."""
        for old, new in zip(self.item, item, strict=True):
            old.copy_(new, non_blocking=True)
        rates = [[group["lr"] for group in of_step] for of_step in settings]
        if rates != self._filled:
            is_pinned = self.rates.device.type == "cuda"  # else the copy would wait for the steps before
            values = torch.tensor(rates, dtype=self.rates.dtype, pin_memory=is_pinned)
            self.rates.copy_(values, non_blocking=is_pinned)
            self._filled = rates
        self._replay()
        return self.losses.clone()

    def _take_steps(self) -> None:
        groups = self.optimizer.param_groups
        rates = [group["lr"] for group in groups]
        try:
            for number, batch in enumerate(self.batches):
                for group, rate in zip(groups, self.rates[number], strict=True):
                    group["lr"] = rate
                self.losses[number].copy_(self.take_step(batch))
        finally:
            for group, rate in zip(groups, rates, strict=True):
                group["lr"] = rate


def obstacle_to_capture(trainer: Trainer) -> str | None:
    """Return the reason why direct steps cannot be captured as a CUDA graph; ``None``: none is known."""
    optimizer, device = trainer.optimizers[0], trainer.strategy.root_device
    if device.type != "cuda":
        return f"the device is {device.type}, and only CUDA devices can take them at once"
    if any("capturable" not in group for group in optimizer.param_groups):
        return f"{type(optimizer).__name__} has no option capturable"
    if any(isinstance(group["lr"], Tensor) for group in optimizer.param_groups):
        return "the learning rate is a tensor: give a number"
    if averages := averages_of_steps(trainer):
        return f"{type(averages[0]).__name__} averages the weights after each step"
    if getattr(trainer.lightning_module, "unrolling", None) is not None:
        return "unrolling changes the number of applications of the network from step to step"
    if getattr(trainer.lightning_module, "activation_checkpointing", None) == "offload":
        return "activation_checkpointing: offload copies to main memory, which a graph cannot wait for"
    return None


def settings_of(optimizer: Optimizer) -> Settings:
    """Return the plain settings of each parameter group, which a schedule may change."""
    return [
        {name: value for name, value in group.items() if isinstance(value, int | float | tuple)}
        for group in optimizer.param_groups
    ]


def _addresses(optimizer: Optimizer) -> list[tuple[int, bool]]:
    """Return the address of each parameter and each of its states, and whether the parameter is trained."""
    return [
        (tensor.data_ptr(), parameter.requires_grad)
        for group in optimizer.param_groups
        for parameter in group["params"]
        for tensor in (parameter, *optimizer.state.get(parameter, {}).values())
        if isinstance(tensor, Tensor)
    ]


def _without_rates(settings: Settings) -> Settings:
    return [{name: value for name, value in group.items() if name != "lr"} for group in settings]
