"""All errors of the validation and test windows, with baselines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from fno_lightning.callbacks.comparison import Comparison, log_agreed, log_values
from fno_lightning.callbacks.forecasting import forecast_module
from fno_lightning.data import Batch
from fno_lightning.metrics import STANDARD_METRICS, LogName, MetricFactory
from fno_lightning.metrics.log_name import Stage


class OneStepErrors(Callback):
    """Logs errors over the windows of the validation and test loops, for the model and for both baselines.

    Names are ``val/<metric>``, ``val/<metric>/<field>``, ``val/persistence/<metric>``, ``val/mean/<metric>`` and so on
    (:class:`~fno_lightning.metrics.LogName`), and the same with ``test``; targets of several steps are averaged. The
    module itself logs ``val/vrmse`` and ``val/vrmse/<field>``, which are not logged again.

    Args:
        metrics: Which errors, by the name that they have in the logs; ``None``: all
            (:data:`~fno_lightning.metrics.STANDARD_METRICS`).
    """

    def __init__(self, metrics: Mapping[str, MetricFactory] | None = None) -> None:
        self.metrics = STANDARD_METRICS if metrics is None else metrics
        self._comparison: Comparison | None = None

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts anew."""
        self._comparison = None if trainer.sanity_checking else Comparison(self.metrics, forecast_module(pl_module))

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts anew."""
        self._comparison = Comparison(self.metrics, forecast_module(pl_module))

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int, *_: int
    ) -> None:
        """Adds a batch."""
        if self._comparison is not None:
            self._comparison.update(outputs["prediction"], batch)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int, *_: int
    ) -> None:
        """Adds a batch."""
        self.on_validation_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the means."""
        self._log("val", pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the means."""
        self._log("test", pl_module)

    def _log(self, stage: Stage, pl_module: LightningModule) -> None:
        if self._comparison is None:
            return
        fields = forecast_module(pl_module).spec.fields
        values: dict[str, Tensor] = {}
        for source, by_name in self._comparison.compute().items():
            for metric, errors in by_name.items():
                if (source, metric) != ("model", "vrmse"):
                    values |= log_values(errors, fields, LogName(stage, metric, source))
        log_agreed(pl_module, values)
        self._comparison = None
