"""Errors of each trajectory of a test, kept apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fno_lightning.data import Batch, point_weight
from fno_lightning.metrics import vrmse
from fno_lightning.metrics.log_name import Forecaster, Window
from fno_lightning.modules import ForecastModule


class TrajectoryErrors(NamedTuple):
    """VRMSE of the forecasts of one trajectory.

    Attributes:
        number: Number of the trajectory in its split.
        scalars: Its parameters, ``(scalar,)``.
        member: Number of the data set of a mixture that it is from.
        by_field: Error of each forecaster, ``(time, field)``; infinite where the forecast is not finite.
        means: Mean of each over the fields that vary, ``(time,)``.
    """

    number: int
    scalars: Tensor
    member: int
    by_field: Mapping[Forecaster, Tensor]
    means: Mapping[Forecaster, Tensor]

    @property
    def n_steps(self) -> int:
        """Number of predicted frames."""
        return len(self.means["model"])

    def over(self, window: Window | None, forecaster: Forecaster = "model", field: int | None = None) -> float:
        """Return the mean over a window of lead time, of all fields or one; ``nan`` if the trajectory ends before it.

        Args:
            window: First frame, and frame after the last; ``None``: the whole trajectory.
            forecaster: Author of the forecast.
            field: Number of the field; ``None``: the mean over the fields that vary.
        """
        first, last = window or (0, self.n_steps)
        error = self.means[forecaster] if field is None else self.by_field[forecaster][:, field]
        return math.nan if last > self.n_steps else float(error[first:last].mean())

    def first_step_above(
        self, threshold: float, forecaster: Forecaster = "model", field: int | None = None
    ) -> int | None:
        """Return the first step, from 1 on, whose error is above a threshold; ``None`` if there is none.

        Args:
            threshold: The threshold.
            forecaster: Author of the forecast.
            field: Number of the field; ``None``: the mean over the fields that vary.
        """
        errors = self.means[forecaster] if field is None else self.by_field[forecaster][:, field]
        above = (errors > threshold).nonzero()
        return int(above[0]) + 1 if len(above) else None

    def valid_time(self, threshold: float, forecaster: Forecaster = "model", field: int | None = None) -> int:
        """Return the first step whose error is above a threshold, or the length of the trajectory."""
        return self.first_step_above(threshold, forecaster, field) or self.n_steps


def errors_of_trajectories(
    prediction: Tensor, batch: Batch, numbers: Sequence[int], module: ForecastModule
) -> list[TrajectoryErrors]:
    """Return the errors of a batch of forecasts and of persistence, on the CPU.

    Persistence repeats the last frame of the history; a steady problem has none.

    Args:
        prediction: Forecasts, ``(batch, time, field, *grid)``.
        batch: Their trajectories, as long as the forecasts.
        numbers: Number of each trajectory in its split.
        module: Supplies the spread of the fields, which they are compared as multiples of.
    """
    forecasts: dict[Forecaster, Tensor] = {"model": prediction}
    if module.n_steps_input:
        forecasts["persistence"] = batch.history[:, -1:].expand_as(batch.target)
    errors = {forecaster: _vrmse(forecast, batch, module) for forecaster, forecast in forecasts.items()}
    varies = module.normalizer.varying_fields.cpu()
    means = {forecaster: error[..., varies].mean(dim=-1) for forecaster, error in errors.items()}
    return [
        TrajectoryErrors(
            number,
            batch.scalars[i].cpu().double(),
            int(batch.member[i]),
            {forecaster: error[i].clone() for forecaster, error in errors.items()},  # a view holds the whole batch
            {forecaster: error[i].clone() for forecaster, error in means.items()},
        )
        for i, number in enumerate(numbers)
    ]


def _vrmse(forecast: Tensor, batch: Batch, module: ForecastModule) -> Tensor:
    """Return the error of each sample ``(batch, time, field)``, in float32 at least; one that is no number is inf."""
    dtype = torch.promote_types(batch.target.dtype, torch.float32)
    forecast, target = (
        module.normalizer.in_spreads(frames, batch.member).to(dtype) for frames in (forecast, batch.target)
    )
    weight = point_weight(batch.constants, module.spec)
    weight = None if weight is None else weight[:, None, None]
    return vrmse(forecast, target, module.spec.n_dims, weight).nan_to_num(nan=torch.inf, posinf=torch.inf).cpu()
