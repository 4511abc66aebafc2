"""Reference, prediction and error of a field over time."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from fno_lightning.callbacks.figures.axes import STYLE, Array, Scale, axis_names, extent, name_axes, panel_shape
from fno_lightning.callbacks.figures.forecast import Forecast


@mpl.rc_context(STYLE)
def rollout_figure(forecast: Forecast, field: str) -> Figure:
    """Draws rows of reference, prediction and error (prediction minus reference) of one field over time.

    Reference and prediction share one scale of colours, taken from the reference; errors have a scale symmetric about
    zero. Two dimensions: a column for each of several lead times. Three dimensions: likewise, in the middle plane of
    the third axis. One dimension: the whole forecast over space and time, or curves for a steady problem.
    """
    if forecast.spec.n_dims > 1:
        return _maps(forecast, field)
    return _space_time(forecast, field) if forecast.n_steps > 1 else _curves(forecast, field)


def _maps(forecast: Forecast, field: str) -> Figure:
    spec = forecast.spec
    width, height, aspect = panel_shape(spec, area=2.2)
    steps = _spread(forecast.n_steps, at_most=min(8, int(11 / width)))
    reference, prediction = (frames[steps] for frames in forecast.frames(field))
    figure, panels = _grid_of_panels(len(steps), width, height)
    horizontal, vertical = extent(spec)[:2]
    _draw_rows(figure, panels, reference, prediction, extent=(*horizontal, *vertical), aspect=aspect)
    name_axes(panels, spec)
    for panel, step in zip(panels[0], steps, strict=True):
        panel.set_title(forecast.lead_time(step))
    _name_rows(panels)
    subject = field if spec.n_dims == 2 else f"{field} in the middle plane of {axis_names(spec)[2]}"
    figure.suptitle(forecast.title(subject))
    return figure


def _space_time(forecast: Forecast, field: str) -> Figure:
    reference, prediction = (frames[None] for frames in forecast.frames(field))
    figure, panels = _grid_of_panels(1, width=7.0, height=1.7)
    first, last = forecast.times[[0, -1]]
    edges = (0.5 * first, last + 0.5 * first, *extent(forecast.spec)[0])
    _draw_rows(figure, panels, reference, prediction, extent=edges, aspect="auto")
    for panel in panels[:, 0]:
        panel.set_ylabel(axis_names(forecast.spec)[0])
    panels[-1, 0].set_xlabel("lead time")
    _name_rows(panels)
    figure.suptitle(forecast.title(field))
    return figure


def _curves(forecast: Forecast, field: str) -> Figure:
    ((left, right),) = extent(forecast.spec)
    (reference,), (prediction,) = forecast.frames(field)
    x = left + (np.arange(len(reference)) + 0.5) * (right - left) / len(reference)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    values, error = figure.subplots(2, 1, sharex=True)
    values.plot(x, reference, color="black", label="reference")
    values.plot(x, prediction, color="C1", linestyle="--", label="prediction")
    values.legend(frameon=False)
    values.set_ylabel(field)
    error.plot(x, prediction - reference, color="C3")
    error.set(ylabel="error", xlabel=axis_names(forecast.spec)[0])
    figure.suptitle(forecast.title(field))
    return figure


def _draw_rows(figure: Figure, panels: Any, reference: Array, prediction: Array, **options: Any) -> None:
    """Fills three rows with ``(column, horizontal, vertical)`` values, and adds their colour bars."""
    error = prediction - reference
    values, errors = Scale.of_field(reference), Scale.of_error(error, reference)
    for row, images, scale in zip(panels, (reference, prediction, error), (values, values, errors), strict=True):
        for panel, image in zip(row, images, strict=True):
            scale.show(panel, image, **options)
    figure.colorbar(panels[1, 0].images[0], ax=panels[:2], extend=values.extension(prediction), aspect=40, pad=0.01)
    figure.colorbar(panels[2, 0].images[0], ax=panels[2:], extend=errors.extension(error), aspect=20, pad=0.01)


def _spread(n_steps: int, at_most: int) -> list[int]:
    """Returns indices of frames from the first to the last, evenly spaced."""
    return sorted({round(k) for k in np.linspace(0, n_steps - 1, max(2, at_most))})


def _grid_of_panels(n_columns: int, width: float, height: float) -> tuple[Figure, Any]:
    size = (n_columns * (width + 0.1) + 1.5, 3 * (height + 0.1) + 1.0)
    figure = Figure(figsize=size, layout="compressed")
    return figure, figure.subplots(3, n_columns, sharex=True, sharey=True, squeeze=False)


def _name_rows(panels: Any) -> None:
    for name, panel in zip(("reference", "prediction", "error"), panels[:, 0], strict=True):
        panel.set_ylabel(f"{name}\n{panel.get_ylabel()}")
