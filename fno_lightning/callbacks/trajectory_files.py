"""Rows of the CSV files of a test: errors by lead time, and of each trajectory."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from fno_lightning.callbacks.trajectory_errors import TrajectoryErrors
from fno_lightning.data import FieldSpec
from fno_lightning.metrics.log_name import Forecaster, Window, format_window
from fno_lightning.modules import ForecastModule

_MEAN = "mean over fields"
"""What stands in the column of the field for the mean over those that vary."""


def lead_time_rows(
    errors: Mapping[Forecaster, Mapping[str, Tensor]], module: ForecastModule
) -> Iterator[list[str | int]]:
    """Yield a header, and every error by lead time and field: step, time, field, forecaster, metric, value.

    Args:
        errors: Mean of each metric over the trajectories, ``(time, field)``, by forecaster.
        module: Author of the forecasts.
    """
    time_step = module.spec.time_step
    yield ["step", "time", "field", "forecaster", "metric", "value"]
    for forecaster, by_metric in errors.items():
        for metric, error in by_metric.items():
            for step, of_fields in enumerate(error, start=1):
                named = dict(zip(module.spec.fields, of_fields.tolist(), strict=True))
                named |= {_MEAN: float(module.normalizer.mean_over_fields(of_fields))}
                time = "" if time_step is None else f"{step * time_step:.6g}"
                for field, value in named.items():
                    yield [step, time, field, forecaster, metric, _number(value)]


def trajectory_rows(
    trajectories: Sequence[TrajectoryErrors], spans: Mapping[str, Window | None], threshold: float, spec: FieldSpec
) -> Iterator[list[str | int]]:
    """Yield a header, and for each trajectory its number, scalars, length, valid time in steps, and VRMSE by window.

    A valid time is the first step with an error above the threshold, or the length of the trajectory if there is none.
    Columns of errors are named ``[<forecaster>/]vrmse[_<first>-<last>][/<field>]``, as in the logs.

    Args:
        trajectories: Errors of the trajectories.
        spans: Windows of lead time; ``None``: the whole trajectory.
        threshold: Error up to which a forecast is valid.
        spec: Specification of the data set.
    """
    forecasters: list[Forecaster] = list(trajectories[0].means)
    columns = {
        "/".join(filter(None, ("" if forecaster == "model" else forecaster, _name(window), name))): (
            window,
            forecaster,
            field,
        )
        for window in spans.values()
        for forecaster in forecasters
        for field, name in ((None, ""), *enumerate(spec.fields))
    }
    valid_times = [f"valid_time/{name}" for name in spec.fields]
    member = ["data_set"] if spec.members else []
    yield ["number", *member, *spec.scalars, "n_steps", "valid_time", "is_valid_to_the_end", *valid_times, *columns]
    for errors in trajectories:
        yield [
            errors.number,
            *spec.members[errors.member : errors.member + 1],
            *map(_number, errors.scalars.tolist()),
            errors.n_steps,
            errors.valid_time(threshold),
            int(errors.first_step_above(threshold) is None),
            *(errors.valid_time(threshold, field=field) for field in range(len(spec.fields))),
            *(_number(errors.over(*column)) for column in columns.values()),
        ]


def rank_rows(histogram: Float[Tensor, "time field rank"], spec: FieldSpec) -> Iterator[list[str | int]]:
    """Yield a header, and the share of each rank of the truth in the ensemble, by lead time and field.

    Args:
        histogram: Shares, from the truth below all members to the truth above all.
        spec: Specification of the data set.
    """
    yield ["step", "field", "rank", "share"]
    for step, by_field in enumerate(histogram.tolist(), start=1):
        for field, shares in zip(spec.fields, by_field, strict=True):
            for rank, share in enumerate(shares):
                yield [step, field, rank, _number(share)]


def write_rows(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _name(window: Window | None) -> str:
    return "vrmse" if window is None else f"vrmse_{format_window(window)}"


def _number(value: float) -> str:
    """Return a number with seven digits, and nothing for one that is not there."""
    return "" if math.isnan(value) else f"{value:.7g}"
