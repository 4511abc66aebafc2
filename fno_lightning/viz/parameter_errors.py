"""Errors of forecasts against a parameter of the trajectories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from fno_lightning.data import FieldSpec
from fno_lightning.metrics.log_name import Forecaster
from fno_lightning.viz.axes import STYLE, Array, plain_text, set_title, shortened
from fno_lightning.viz.error_curves import CURVES

ByForecaster: TypeAlias = Mapping[Forecaster, Float[Tensor, " trajectory"]]

_DECADE = 10.0  # a parameter that is positive and spans more has a logarithmic axis


@mpl.rc_context(STYLE)
def parameter_figure(
    parameter: str,
    values: Float[Tensor, " trajectory"],
    groups: Sequence[Sequence[int]],
    errors: Mapping[str, ByForecaster],
    spec: FieldSpec,
    *,
    valid_times: ByForecaster | None = None,
    name: str = "VRMSE",
) -> Figure:
    """Draw errors against a parameter: a dot for each trajectory, a line through the means of groups.

    There is a panel for each window of lead time, and one for the valid time. Dots of infinite errors are crosses at
    the upper edge, and the line leaves out their groups. At a VRMSE of 1 a forecast is no better than the mean of each
    frame over the grid.

    Args:
        parameter: Name of the parameter.
        values: Value of each trajectory.
        groups: Indices of the trajectories in each group, in the order of the parameter.
        errors: Errors of each trajectory by forecaster, by the name of the window; ``nan`` where there is none.
        spec: Specification of the data set.
        valid_times: Valid time of each trajectory, in the units of the data, by forecaster.
        name: Name of the error.
    """
    panels_of = dict(errors) | ({} if valid_times is None else {"valid time": valid_times})
    figure = Figure(figsize=(1.2 + 2.7 * len(panels_of), 3.1), layout="constrained")
    panels = figure.subplots(1, len(panels_of), sharex=True, squeeze=False).ravel()
    x = values.double().cpu().numpy()
    curves = {
        title: {forecaster: y.double().cpu().numpy() for forecaster, y in by_forecaster.items()}
        for title, by_forecaster in panels_of.items()
    }
    low, high, scale = _limits(np.concatenate([y for title in errors for y in curves[title].values()]))
    for panel, (title, by_forecaster) in zip(panels, curves.items(), strict=True):
        for forecaster, y in by_forecaster.items():
            _draw(panel, x, y, groups, forecaster)
        if title in errors:
            panel.axhline(1.0, color="0.6", linewidth=0.8, zorder=0)
            panel.set(title=plain_text(f"{name}, {title}"), yscale=scale, ylim=(low, high))
        else:
            panel.set(title=f"valid time{'' if spec.time_step else ' in steps'}", ylim=(0, None))
        panel.grid(color="0.9")
    if x.min() > 0 and x.max() >= _DECADE * x.min():
        panels[0].set_xscale("log")
    panels[0].legend(frameon=False)
    figure.supxlabel(plain_text(parameter))
    simulated = ", simulated data" if "simulated" in spec.source.lower() else ""
    set_title(figure, f"{name} against {shortened(parameter)}, {shortened(spec.dataset_name)}{simulated}")
    return figure


def _draw(panel: Axes, x: Array, y: Array, groups: Sequence[Sequence[int]], forecaster: Forecaster) -> None:
    """Draw dots, crosses and the line of one forecaster."""
    style: dict[str, Any] = dict(CURVES[forecaster])
    finite, infinite = np.isfinite(y), np.isinf(y)
    panel.plot(x[finite], y[finite], ".", color=style["color"], markersize=4, alpha=0.5)
    if infinite.any():
        transform = panel.get_xaxis_transform()
        panel.plot(x[infinite], np.full(infinite.sum(), 0.97), "x", color=style["color"], transform=transform)
    centres = np.array([x[list(group)].mean() for group in groups])
    means = np.array([_mean(y[list(group)]) for group in groups])
    shown = np.isfinite(means)
    panel.plot(centres[shown], means[shown], label=forecaster, **style)


def _mean(values: Array) -> float:
    """Return the mean of those that are there."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else np.nan


def _limits(errors: Array) -> tuple[float, float, Literal["log", "linear"]]:
    """Return limits and scale that hold all errors: logarithmic for positive ones that span a decade."""
    finite = errors[np.isfinite(errors)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if low > 0 and high >= _DECADE * low:
        return 0.8 * low, 1.25 * high, "log"
    return 0.0, 1.1 * high or 1.0, "linear"
