"""Errors of forecasts beside those of the simplest ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Tensor

from fno_lightning.data import Batch
from fno_lightning.metrics import FieldMetric, LogName, MetricFactory
from fno_lightning.metrics.log_name import FORECASTERS, Forecaster
from fno_lightning.modules import ForecastModule


class Comparison:
    """Errors of a module's forecasts and of two baselines, on the same samples.

    ``persistence`` repeats the last frame of the history; ``mean`` predicts the mean of each field over the train
    split, everywhere. A steady problem has no history and so no persistence.

    Args:
        metrics: Which errors, by name.
        module: Whose forecasts; says what the fields are and what their means are.
    """

    def __init__(self, metrics: Mapping[str, MetricFactory], module: ForecastModule) -> None:
        n_dims = module.spec.n_dims
        self._normalizer = module.normalizer
        sources: tuple[Forecaster, ...] = FORECASTERS if module.n_steps_input else ("model", "mean")
        self._errors: dict[Forecaster, dict[str, FieldMetric]] = {
            source: {name: factory(n_dims).to(module.device) for name, factory in metrics.items()} for source in sources
        }

    def update(self, prediction: Float[Tensor, "batch time field *grid"], batch: Batch) -> None:
        """Adds samples: predictions of the batch's target, or of its first frames."""
        target = batch.target[:, : prediction.shape[1]]
        mean = self._normalizer.decode(torch.zeros_like(target), batch.member)
        forecasts: dict[Forecaster, Tensor] = {"model": prediction, "mean": mean}
        if "persistence" in self._errors:
            forecasts["persistence"] = batch.history[:, -1:].expand_as(target)
        for source, errors in self._errors.items():
            for error in errors.values():
                error.update(forecasts[source], target)

    def compute(self) -> dict[Forecaster, dict[str, Float[Tensor, "time field"]]]:
        """Returns the mean over the samples of all processes of each error of each source."""
        return {
            source: {name: error.compute() for name, error in errors.items()} for source, errors in self._errors.items()
        }


def log_values(
    errors: Float[Tensor, "time field"], fields: tuple[str, ...], name: LogName
) -> dict[str, Float[Tensor, ""]]:
    """Return what is logged of an error: its mean, and its mean over time for each field."""
    by_field = errors.mean(dim=0).float()
    names = map(str, name.of_fields(fields))
    return {str(name): by_field.mean(), **dict(zip(names, by_field, strict=True))}


def log_agreed(module: LightningModule, values: Mapping[str, Float[Tensor, ""]]) -> None:
    """Logs values that every process has found alike.

    Lightning wants to reduce what is logged for an epoch. A maximum leaves the values as they are too, and takes one
    reduction of each where a mean takes two.
    """
    module.log_dict(values, sync_dist=True, reduce_fx="max")
