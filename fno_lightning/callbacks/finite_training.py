"""Losses and gradients that are not finite."""

from __future__ import annotations

from itertools import islice
from typing import Any, Literal, get_args

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from torch.optim import Optimizer

from fno_lightning.callbacks.forecasting import evaluation_mode, forecast_module
from fno_lightning.callbacks.stop_on_signal import checkpoint_folder
from fno_lightning.data import Batch, FieldDataModule
from fno_lightning.modules import ForecastModule

Action = Literal["stop", "skip"]
NAME = "last-finite.ckpt"
MOST_OVERFLOWS = 20
"""Steps in a row at which a scaler of 16-mixed may halve its factor: from 2^16 that reaches numbers below 1."""


class FiniteTraining(Callback):
    """Stop before a step whose gradients are not finite, or leave the step out, and name the samples.

    The weights are still good then: they are saved as ``last-finite.ckpt``, with the state of the training, before a
    :class:`FloatingPointError` ends it. Each sample of the batch whose own loss is not finite is named by file,
    trajectory and frames; all of the batch if there is none such. (Values in files that are not finite are refused
    where they are read.)

    With ``16-mixed`` some steps overflow, and the scaler of the precision leaves them out; that is said once, and ends
    the training only after 20 steps in a row. With ``steps_per_execution`` Lightning takes each of the steps, because
    the gradients are looked at within one.

    Args:
        action: ``stop``, or ``skip``: go on without the step.
        most_skipped: Steps in a row that are left out before the training stops after all.

    Raises:
        ValueError: if ``action`` is another one, or ``most_skipped`` is not positive.
        FloatingPointError: in a training, as said.
    """

    def __init__(self, action: Action = "stop", most_skipped: int = 10) -> None:
        if action not in get_args(Action):
            raise ValueError(f"action of FiniteTraining is {action!r}, expected one of {', '.join(get_args(Action))}")
        if most_skipped < 1:
            raise ValueError(f"most_skipped of FiniteTraining is {most_skipped}, expected at least 1")
        self.action = action
        self.most_skipped = most_skipped
        self._in_a_row = 0
        self._batch: tuple[Batch, int] | None = None
        self._loss = torch.tensor(torch.nan)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an earlier training."""
        self._in_a_row = 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Keep the batch, to look for the samples."""
        self._batch = batch, batch_idx

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Keep the loss, for the message."""
        self._loss = loss.detach()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Look at the gradients."""
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not gradients or bool(torch.nn.utils.get_total_norm(gradients).isfinite()):
            self._in_a_row = 0
            return
        self._in_a_row += 1
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is not None and self._in_a_row < MOST_OVERFLOWS:
            if self._in_a_row == 1:
                rank_zero_info(f"a step overflowed in 16 bit and is left out; the factor was {scaler.get_scale():g}")
            return
        module = forecast_module(pl_module)
        found = f"the gradients are not finite at step {trainer.global_step}, the loss is {float(self._loss):g}"
        found += f": {self._samples(trainer, module)}"
        if scaler is None and self.action == "skip" and self._in_a_row <= self.most_skipped:
            rank_zero_warn(f"{found}; the step is left out")
            optimizer.zero_grad(set_to_none=True)
            return
        file = checkpoint_folder(trainer) / NAME
        trainer.save_checkpoint(file)
        raise FloatingPointError(
            f"{found}. The state before the step is in {file}. Try a smaller learning rate, "
            "--trainer.gradient_clip_val 1, another --trainer.precision, or action: skip of FiniteTraining"
        )

    def _samples(self, trainer: Trainer, module: ForecastModule) -> str:
        """Name the samples of the batch whose loss is not finite, or all of them."""
        if self._batch is None:
            return "no batch is known"
        batch, number = self._batch
        rows = range(len(batch.target))
        with evaluation_mode(module):
            losses = [module.step(Batch(*(part[row : row + 1] for part in batch)))[0] for row in rows]
        broken = [row for row, loss in zip(rows, losses, strict=True) if not bool(loss.isfinite())]
        names = _names(trainer, number, len(batch.target))
        if names is None:
            return f"sample {broken} of its batch" if broken else "no sample's own loss is infinite"
        said = "; ".join(names[row] for row in broken or rows)
        return said if broken else f"every sample's own loss is finite, the batch has {said}"


def _names(trainer: Trainer, number: int, n_samples: int) -> list[str] | None:
    """Return what the samples of a batch are, if the data module and its loader tell."""
    data, loader = getattr(trainer, "datamodule", None), trainer.train_dataloader
    sampler = getattr(loader, "sampler", None)
    size = getattr(loader, "batch_size", None)
    if not isinstance(data, FieldDataModule) or sampler is None or size is None:
        return None
    whole = getattr(sampler, "sampler", sampler)  # a resumed epoch has only the samples that are left
    items = list(islice(iter(whole), number * size, (number + 1) * size))
    return [data.sample_name("train", _index(item)) for item in items] if len(items) == n_samples else None


def _index(item: Any) -> int:
    """Return the number of a sample, which may come with an epoch or a grid."""
    while isinstance(item, tuple):
        item = item[0]
    return int(item)
