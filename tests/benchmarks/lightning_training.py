"""Training with Lightning's ``fit``, as a user of the package starts it."""

from __future__ import annotations

import time
from typing import Any

import lightning as L
import torch
from lightning.pytorch import LightningDataModule

from fno_lightning.data import Batch, WellDataModule
from fno_lightning.modules import FNOModule, ForecastModule
from fno_lightning.multistep import MultiStepStrategy
from tests.benchmarks.harness import Settings, synchronize

WARM_UP_EXECUTIONS = 5  # the first ones of a training are taken step by step, then one is captured


class Stopwatch(L.Callback):
    """Time a training from its first batch on.

    Args:
        skip: Optimizer steps at the beginning that are not timed.
    """

    def __init__(self, skip: int = 0) -> None:
        self.skip = skip
        self.epochs: list[float] = []
        self._first_step = 0
        self._begin = 0.0
        self._last = 0.0

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._begin = self._last = self._now(module)
        self._first_step = trainer.global_step

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        if self.skip and trainer.global_step <= self.skip:
            self._begin = self._now(module)
            self._first_step = trainer.global_step

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        now = self._now(module)
        self.epochs.append(now - self._last)
        self._last = now

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.n_steps_in_all = trainer.global_step
        self.seconds_per_step = (self._now(module) - self._begin) / (trainer.global_step - self._first_step)

    @staticmethod
    def _now(module: L.LightningModule) -> float:
        synchronize(module.device)
        return time.perf_counter()


def make_module(
    data: WellDataModule, settings: Settings, network: dict[str, Any], *, seed: int = 0, **options: Any
) -> FNOModule:
    """Return an :class:`FNOModule` with its network and the normalisation of the data."""
    torch.manual_seed(seed)
    options = {"compile": settings.compile} | options
    module = FNOModule(spec=data.spec, n_steps_input=data.n_steps_input, **network, **options)
    module.fit_normalization(data.statistics)
    module.configure_model()
    return module


@torch.no_grad()
def loss_of_samples(module: ForecastModule, data: WellDataModule, n_samples: int) -> float:
    """Return the loss of the first samples of the train split, of the network without compilation."""
    dataset = data.dataset("train")
    batch = Batch(*(part.to(module.device) for part in dataset.__getitems__(list(range(n_samples)))))
    with torch.compiler.set_stance("force_eager"):
        return module.step(batch)[0].item()


def fit(
    module: ForecastModule,
    data: LightningDataModule,
    settings: Settings,
    *,
    steps_per_execution: int | None = None,
    skip: int = 0,
    precision: Any = "32-true",
    max_epochs: int = 1,
    **trainer_options: Any,
) -> Stopwatch:
    """Train without validation, logger and progress bar, in single steps unless ``steps_per_execution`` is given."""
    stopwatch = Stopwatch(skip)
    trainer = L.Trainer(
        accelerator="gpu" if settings.device.type == "cuda" else "cpu",
        devices=1,
        strategy="auto" if steps_per_execution is None else MultiStepStrategy(steps_per_execution),
        precision=precision,
        max_epochs=max_epochs,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[stopwatch],
        **trainer_options,
    )
    trainer.fit(module, data)
    module.to(settings.device)  # Lightning takes the module back to the CPU
    return stopwatch
