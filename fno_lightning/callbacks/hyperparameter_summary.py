"""Hyper-parameters with the final errors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from fno_lightning.arguments import require_list
from fno_lightning.callbacks.forecasting import tensorboard_logger
from fno_lightning.callbacks.old_names import current_name


class HyperparameterSummary(Callback):
    """Log hyper-parameters with the final errors at the end of training, for TensorBoard's HPARAMS tab.

    Hyper-parameters are those of the module and the datamodule, and of the optimizer its class and settings.
    The logger should have ``default_hp_metric=False``, or its tab shows a meaningless ``hp_metric`` too.

    Args:
        metrics: Log names of the errors to show (:class:`~fno_lightning.metrics.LogName`), as far as they are logged.
    """

    def __init__(
        self,
        metrics: Sequence[str] = ("val/loss", "val/vrmse", "val/rollout/vrmse_6-12", "val/rollout/vrmse_13-30"),
    ) -> None:
        require_list(metrics=metrics)
        self.metrics = tuple(current_name(name, "name in metrics of HyperparameterSummary") for name in metrics)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the summary."""
        logger = tensorboard_logger(trainer)
        logged = trainer.callback_metrics
        final = {name: value.item() for name, value in logged.items() if _without_loader(name) in self.metrics}
        if logger is not None and final:
            logger.log_hyperparams(_hyperparameters(trainer, pl_module), final, step=trainer.global_step)


def _without_loader(name: str) -> str:
    """Take off the ending that the name of an error has where there are several loaders."""
    return re.sub(r"/dataloader_idx_\d+$", "", name)


def _hyperparameters(trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
    data: Any = getattr(trainer, "datamodule", None)
    parameters = dict(pl_module.hparams_initial) | (dict(data.hparams_initial) if data is not None else {})
    parameters = {name: value for name, value in parameters.items() if name != "spec" and not name.startswith("_")}
    parameters["module"] = type(pl_module).__name__
    for optimizer in trainer.optimizers:
        settings = {name: value for name, value in optimizer.defaults.items() if isinstance(value, int | float)}
        parameters["optimizer"] = {"class": type(optimizer).__name__, **settings}
    return parameters | {"max_epochs": trainer.max_epochs, "precision": trainer.precision}
