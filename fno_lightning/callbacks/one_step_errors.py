"""Errors over the windows of validation and test, with baselines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from fno_lightning.arguments import require_mapping
from fno_lightning.callbacks.baselines import ErrorsWithBaselines, log_reduced, log_values_of_targets
from fno_lightning.callbacks.forecasting import forecast_module
from fno_lightning.data import Batch
from fno_lightning.metrics import STANDARD_METRICS, LogName, MetricFactory
from fno_lightning.metrics.log_name import Stage
from fno_lightning.modules.loaders import evaluated_loaders


class OneStepErrors(Callback):
    """Log errors over the windows of the validation and test loops, for the model and for both baselines.

    Names are ``val/<metric>``, ``val/<metric>/<field>``, ``val/persistence/<metric>``, ``val/mean/<metric>`` and so on
    (:class:`~fno_lightning.metrics.LogName`), and the same with ``test``: errors of the next frame, and for
    targets of several frames over all of them, as ``val/<metric>_0-16``. The module itself logs ``val/vrmse`` and
    ``val/vrmse/<field>``, which are not logged again. Errors over several loaders end in ``/dataloader_idx_0``,
    ``/dataloader_idx_1`` and so on.

    Args:
        metrics: Metrics by log name; ``None``: :data:`~fno_lightning.metrics.STANDARD_METRICS`.
    """

    def __init__(self, metrics: Mapping[str, MetricFactory] | None = None) -> None:
        require_mapping(metrics=metrics)
        self.metrics = STANDARD_METRICS if metrics is None else metrics
        self._errors: dict[int | None, ErrorsWithBaselines] = {}

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start with no samples."""
        loaders = [] if trainer.sanity_checking else evaluated_loaders(trainer)
        self._errors = {loader: ErrorsWithBaselines(self.metrics, forecast_module(pl_module)) for loader in loaders}

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start with no samples."""
        self.on_validation_epoch_start(trainer, pl_module)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add a batch."""
        if self._errors:
            self._errors[dataloader_idx if len(self._errors) > 1 else None].update(outputs["prediction"], batch)

    on_test_batch_end = on_validation_batch_end

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the means."""
        self._log("val", pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the means."""
        self._log("test", pl_module)

    def _log(self, stage: Stage, pl_module: LightningModule) -> None:
        module = forecast_module(pl_module)
        for loader, errors in self._errors.items():
            values: dict[str, Tensor] = {}
            for forecaster, by_metric in errors.compute().items():
                for metric, error in by_metric.items():
                    if (forecaster, metric) != ("model", "vrmse"):
                        name = LogName(stage, metric, forecaster, loader=loader)
                        values |= log_values_of_targets(error, module, name)
            log_reduced(pl_module, values)
        self._errors = {}
