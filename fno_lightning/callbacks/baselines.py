"""Errors of forecasts and of two baselines, and their entries in the logs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Tensor

from fno_lightning.data import Batch, point_weight
from fno_lightning.metrics import STANDARD_METRICS, FieldMetric, LogName, MetricFactory
from fno_lightning.metrics.log_name import FORECASTERS, Forecaster
from fno_lightning.modules import ForecastModule


class ErrorsWithBaselines:
    """Errors of a module's forecasts and of two baselines, on the same samples.

    ``persistence`` repeats the last frame of the history; ``mean`` predicts the mean of each field over the train
    split, everywhere. A steady problem has no history and so no persistence.

    Fields are compared as multiples of their spread over the train split, so that errors do not depend on their units.
    Of irregular data, standard metrics that need a grid are left out.

    Args:
        metrics: Metrics by log name.
        module: Author of the forecasts, with the specification and the mean of the fields.
    """

    def __init__(self, metrics: Mapping[str, MetricFactory], module: ForecastModule) -> None:
        n_dims = module.spec.n_dims
        self._normalizer = module.normalizer
        forecasters: tuple[Forecaster, ...] = FORECASTERS if module.n_steps_input else ("model", "mean")
        self._errors: dict[Forecaster, dict[str, FieldMetric]] = {
            forecaster: {name: factory(n_dims).to(module.device) for name, factory in metrics.items()}
            for forecaster in forecasters
        }
        self._spec = module.spec
        if module.spec.is_irregular and metrics is STANDARD_METRICS:  # those that were asked for are an error
            for forecaster, errors in self._errors.items():
                self._errors[forecaster] = {name: error for name, error in errors.items() if error.weighs_points}

    def update(self, prediction: Float[Tensor, "batch time field *grid"], batch: Batch) -> None:
        """Add samples: predictions of the batch's target, or of its first frames."""
        target = batch.target[:, : prediction.shape[1]]
        mean = self._normalizer.decode(torch.zeros_like(target), batch.member, target.dtype)
        forecasts: dict[Forecaster, Tensor] = {"model": prediction, "mean": mean}
        if "persistence" in self._errors:
            forecasts["persistence"] = batch.history[:, -1:]
        unit = self._normalizer.spread(batch.member)
        weight = point_weight(batch.constants, self._spec)
        target = self._normalizer.in_spreads(target, batch.member)
        for forecaster, errors in self._errors.items():
            forecast = self._normalizer.in_spreads(forecasts[forecaster], batch.member).expand_as(target)
            for error in errors.values():
                error.update(forecast, target, unit, weight)

    def compute(self) -> dict[Forecaster, dict[str, Float[Tensor, "time field"]]]:
        """Return each error of each forecaster, the mean over the samples of all processes."""
        return {
            forecaster: {name: error.compute() for name, error in errors.items()}
            for forecaster, errors in self._errors.items()
        }


def log_values(
    errors: Float[Tensor, "time field"], module: ForecastModule, name: LogName
) -> dict[str, Float[Tensor, ""]]:
    """Return the log entries of an error: its mean over the fields that vary, and its mean over time for each field."""
    by_field = errors.mean(dim=0)
    names = map(str, name.of_fields(module.spec.fields))
    entries = {str(name): module.normalizer.mean_over_fields(by_field), **dict(zip(names, by_field, strict=True))}
    return {entry: error.float() for entry, error in entries.items()}


def log_values_of_targets(
    errors: Float[Tensor, "time field"], module: ForecastModule, name: LogName
) -> dict[str, Float[Tensor, ""]]:
    """Return the log entries of an error of samples: of the next frame, and of all where there are more."""
    entries: dict[str, Tensor] = {}
    for entry, lead_times in name.of_targets(len(errors)):
        entries |= log_values(errors[lead_times], module, entry)
    return entries


def log_reduced(module: LightningModule, values: Mapping[str, Float[Tensor, ""]]) -> None:
    """Log values that are reduced over the processes already, and so are the same in each.

    Lightning reduces the values of an epoch once more. A maximum leaves them as they are too, and takes one reduction
    of each where a mean takes two.
    """
    module.log_dict(values, sync_dist=True, reduce_fx="max", add_dataloader_idx=False)
