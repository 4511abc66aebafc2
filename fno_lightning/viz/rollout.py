"""Reference, prediction and error of a field over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fno_lightning.viz.axes import (
    STYLE,
    Array,
    Scale,
    extent,
    name_axes,
    panel_shape,
    plain_text,
    set_title,
    shortened,
)
from fno_lightning.viz.forecast import Forecast
from fno_lightning.viz.points import points_figure


@mpl.rc_context(STYLE)
def steady_figure(forecast: Forecast, field: str) -> Figure:
    """Draw a row of maps: the constant fields, then reference, prediction and error of one field.

    Reference and prediction share one scale of colours, taken from the reference; errors have a scale symmetric about
    zero. Of three dimensions the middle plane of the third axis is drawn.
    """
    spec = forecast.spec
    (reference,), (prediction,) = forecast.frames(field)
    error = prediction - reference
    values = Scale.of_field(reference)
    maps = {name: (image, Scale.of_field(image)) for name, image in forecast.inputs().items()}
    maps |= {"reference": (reference, values), "prediction": (prediction, values)}
    maps["error"] = (error, Scale.of_error(error, reference))
    width, height, aspect = panel_shape(spec, area=4.0)
    figure = Figure(figsize=((width + 0.7) * len(maps), height + 1.1), layout="constrained")
    panels = figure.subplots(1, len(maps), sharex=True, sharey=True)
    (left, right), (bottom, top) = extent(spec)[:2]
    for panel, (name, (image, scale)) in zip(panels, maps.items(), strict=True):
        drawn = scale.show(panel, image, extent=(left, right, bottom, top), aspect=aspect)
        figure.colorbar(drawn, ax=panel, extend=scale.extension(image), aspect=25, pad=0.02)
        name_axes(panel, spec)
        panel.label_outer()
        panel.set_title(plain_text(name))
    set_title(figure, forecast.title(shortened(field)))
    return figure


@mpl.rc_context(STYLE)
def rollout_figure(forecast: Forecast, field: str) -> Figure:
    """Draw rows of reference, prediction and error (prediction minus reference) of one field over time.

    Reference and prediction share one scale of colours, taken from the reference; errors have a scale symmetric about
    zero. Two dimensions: a column for each of several lead times. Three dimensions: likewise, in the middle plane of
    the third axis. One dimension: the whole forecast over space and time, or curves for a steady problem.

    A steady problem in more than one dimension: a row with inputs, reference, prediction and error. Irregular points:
    see :func:`~fno_lightning.viz.points.points_figure`.
    """
    if forecast.spec.is_irregular:
        return points_figure(forecast, field)
    if forecast.is_steady and forecast.spec.n_dims > 1:
        return steady_figure(forecast, field)
    if forecast.spec.n_dims > 1:
        return _maps(forecast, field)
    return _space_time(forecast, field) if forecast.n_steps > 1 else _curves(forecast, field)


def _maps(forecast: Forecast, field: str) -> Figure:
    spec = forecast.spec
    width, height, aspect = panel_shape(spec, area=2.2)
    steps = forecast.evenly_spaced(max(2, min(8, int(11 / width))))
    reference, prediction = (frames[steps] for frames in forecast.frames(field))
    (left, right), (bottom, top) = extent(spec)[:2]
    offsets = 1.12 * (right - left) * np.arange(len(steps))
    edges = [(left + offset, right + offset, bottom, top) for offset in offsets]
    figure = Figure(figsize=(1.12 * width * len(steps) + 1.4, 3 * (height + 0.1) + 1.0), layout="compressed")
    panels = _draw_rows(figure, reference, prediction, edges, aspect)
    for panel in panels:
        name_axes(panel, spec, offsets.tolist())
        panel.label_outer()
    for offset, step in zip(offsets, steps, strict=True):
        panels[0].text((left + right) / 2 + offset, top, f"{forecast.lead_time(step)}\n", ha="center", va="baseline")
    subject = (
        shortened(field) if spec.n_dims == 2 else f"{shortened(field)} in the middle plane of {spec.axis_names[2]}"
    )
    return _finished(figure, panels, forecast.title(subject))


def _space_time(forecast: Forecast, field: str) -> Figure:
    reference, prediction = (frames[None] for frames in forecast.frames(field))
    first, last = forecast.times[[0, -1]]
    edges = (0.5 * first, last + 0.5 * first, *extent(forecast.spec)[0])
    figure = Figure(figsize=(8.4, 6.4), layout="constrained")
    panels = _draw_rows(figure, reference, prediction, [edges], "auto")
    for panel in panels:
        panel.set_ylabel(plain_text(forecast.spec.axis_names[0]))
    panels[-1].set_xlabel("lead time")
    return _finished(figure, panels, forecast.title(shortened(field)))


def _curves(forecast: Forecast, field: str) -> Figure:
    ((left, right),) = extent(forecast.spec)
    (reference,), (prediction,) = forecast.frames(field)
    x = left + (np.arange(len(reference)) + 0.5) * (right - left) / len(reference)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    values, error = figure.subplots(2, 1, sharex=True)
    marker = "." if len(x) == 1 else ""
    values.plot(x, reference, color="black", label="reference", marker=marker)
    values.plot(x, prediction, color="C1", linestyle="--", label="prediction", marker=marker)
    values.legend(frameon=False)
    values.set_ylabel(plain_text(field))
    error.plot(x, prediction - reference, color="C3", marker=marker)
    error.set(ylabel="error", xlabel=plain_text(forecast.spec.axis_names[0]))
    set_title(figure, forecast.title(shortened(field)))
    return figure


def _draw_rows(
    figure: Figure,
    reference: Array,
    prediction: Array,
    edges: Sequence[tuple[float, float, float, float]],
    aspect: Literal["equal", "auto"],
) -> Any:
    """Draw three rows of ``(column, horizontal, vertical)`` values within these edges, and return a panel for each."""
    error = prediction - reference
    values, errors = Scale.of_field(reference), Scale.of_error(error, reference)
    panels = figure.subplots(3, 1, sharex=True, sharey=True)
    for panel, images, scale in zip(panels, (reference, prediction, error), (values, values, errors), strict=True):
        for image, (left, right, bottom, top) in zip(images, edges, strict=True):
            scale.show(panel, image, extent=(left, right, bottom, top), aspect=aspect)
            frame = Rectangle((left, bottom), right - left, top - bottom, fill=False, linewidth=0.8, clip_on=False)
            panel.add_patch(frame)
    margin = 0.01 * (edges[-1][1] - edges[0][0])
    panels[0].set(xlim=(edges[0][0] - margin, edges[-1][1] + margin), ylim=edges[0][2:])
    figure.colorbar(panels[1].images[0], ax=panels[:2], extend=values.extension(prediction), aspect=40, pad=0.01)
    figure.colorbar(panels[2].images[0], ax=panels[2:], extend=errors.extension(error), aspect=20, pad=0.01)
    return panels


def _finished(figure: Figure, panels: Any, title: str) -> Figure:
    for name, panel in zip(("reference", "prediction", "error"), panels, strict=True):
        panel.set_ylabel(f"{name}\n{panel.get_ylabel()}")
        panel.spines[:].set_visible(False)
    set_title(figure, title)
    return figure
