"""The optimizer steps of a launch, recorded on fixed memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.optim import Optimizer

from fno_lightning.data import Batch
from fno_lightning.modules.cuda_graphs import Recorder

Settings: TypeAlias = list[dict[str, Any]]
"""Learning rate and other plain settings of each parameter group."""


class Recording:
    """Optimizer steps on batches of fixed shapes, with learning rates that may differ from step to step and replay.

    Args:
        item: Batches that lie in one, as an example of those to come.
        batch_size: Samples in a batch.
        optimizer: Whose steps they are.
        take_step: Takes a step on a batch and returns its loss.
        loss_type: Type of the losses.
        recorder: Makes the recording.

    Raises:
        RuntimeError: if the steps cannot be recorded.
    """

    def __init__(
        self,
        item: Batch,
        batch_size: int,
        optimizer: Optimizer,
        take_step: Callable[[Batch], Tensor],
        loss_type: torch.dtype,
        recorder: Recorder,
    ) -> None:
        self.optimizer = optimizer
        self.take_step = take_step
        self.item = Batch(*(part.clone() for part in item))
        self.batches = cut(self.item, batch_size)
        self.fixed = _without_rates(settings_of(optimizer))
        device, n_groups = item.target.device, len(optimizer.param_groups)
        rate_type = torch.promote_types(optimizer.param_groups[0]["params"][0].dtype, torch.float32).to_real()
        self.rates = torch.zeros(len(self.batches), n_groups, dtype=rate_type, device=device)
        self.losses = torch.zeros(len(self.batches), dtype=loss_type, device=device)
        self._filled: list[list[float]] | None = None
        self._replay = recorder.record(self._take_steps)
        self._places = _places(optimizer)

    def fits(self, item: Batch, settings: Sequence[Settings]) -> bool:
        """Whether the recorded steps are those to take on an item, with these settings in each step.

        They are not if a parameter or a state of the optimizer has moved, or training of a parameter was switched.
        """
        if _places(self.optimizer) != self._places:
            return False
        same_shapes = all(
            new.shape == old.shape and new.dtype == old.dtype for new, old in zip(item, self.item, strict=True)
        )
        return same_shapes and all(_without_rates(of_step) == self.fixed for of_step in settings)

    def play(self, item: Batch, settings: Sequence[Settings]) -> Tensor:
        """Takes the steps on an item, and returns the losses."""
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


def cut(item: Batch, batch_size: int) -> list[Batch]:
    """Returns the batches that lie in an item one after the other; the last may be smaller."""
    return [Batch(*parts) for parts in zip(*(torch.split(part, batch_size) for part in item), strict=True)]


def settings_of(optimizer: Optimizer) -> Settings:
    """Returns the plain settings of each parameter group, which a schedule may change."""
    return [
        {name: value for name, value in group.items() if isinstance(value, int | float | tuple)}
        for group in optimizer.param_groups
    ]


def _places(optimizer: Optimizer) -> list[tuple[int, bool]]:
    """Address of each parameter and each of its states, and whether the parameter is trained."""
    return [
        (tensor.data_ptr(), parameter.requires_grad)
        for group in optimizer.param_groups
        for parameter in group["params"]
        for tensor in (parameter, *optimizer.state.get(parameter, {}).values())
        if isinstance(tensor, Tensor)
    ]


def _without_rates(settings: Settings) -> Settings:
    return [{name: value for name, value in group.items() if name != "lr"} for group in settings]
