"""What the callbacks ask of the module and the data, with clear words where it is missing."""

from __future__ import annotations

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from fno_lightning.data import FieldDataModule
from fno_lightning.modules import ForecastModule


def forecast_module(pl_module: LightningModule) -> ForecastModule:
    """Returns the module, if it is one that forecasts fields.

    Raises:
        TypeError: if it is not a :class:`~fno_lightning.modules.ForecastModule`.
    """
    if not isinstance(pl_module, ForecastModule):
        raise TypeError(
            f"the callbacks that evaluate forecasts need a ForecastModule, got {type(pl_module).__name__}: subclass "
            "fno_lightning.modules.ForecastModule, or leave these callbacks out"
        )
    return pl_module


def field_data(trainer: Trainer) -> FieldDataModule:
    """Returns the trainer's datamodule, if it is one that serves trajectories of fields.

    Raises:
        TypeError: if there is none, or it is not a :class:`~fno_lightning.data.FieldDataModule`.
    """
    data: object = getattr(trainer, "datamodule", None)
    if not isinstance(data, FieldDataModule):
        raise TypeError(
            f"RolloutEvaluation takes trajectories from a FieldDataModule, got {type(data).__name__}: pass "
            "datamodule=... to the trainer, or leave this callback out"
        )
    return data


def tensorboard_logger(trainer: Trainer) -> TensorBoardLogger | None:
    """Returns the trainer's TensorBoard logger, if it has one."""
    return next((logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)
