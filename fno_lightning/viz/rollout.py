"""Reference, prediction and error of a field over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

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
    if (uncertainty := forecast.width(field)) is not None:
        maps[uncertainty[0]] = (uncertainty[1][0], Scale.of_width(uncertainty[1]))
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

    Where the uncertainty is known, a fourth row has half of the width of the band, or the spread of an ensemble, with
    dots in the row of errors where the reference is outside; and a panel below has reference, prediction and band, or
    twice the spread, along the first axis at the last lead time with a band.

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
    rows = _Rows.of(forecast, field, steps)
    (left, right), (bottom, top) = extent(spec)[:2]
    offsets = 1.12 * (right - left) * np.arange(len(steps))
    edges = [(left + offset, right + offset, bottom, top) for offset in offsets]
    size = (1.12 * width * len(steps) + 1.4, rows.number * (height + 0.1) + 1.0)
    figure, maps = _with_profile(forecast, field, size, "compressed")
    panels = _draw_rows(maps, rows, edges, aspect)
    for panel in panels:
        name_axes(panel, spec, offsets.tolist())
        panel.label_outer()
    for offset, step in zip(offsets, steps, strict=True):
        panels[0].text((left + right) / 2 + offset, top, f"{forecast.lead_time(step)}\n", ha="center", va="baseline")
    subject = (
        shortened(field) if spec.n_dims == 2 else f"{shortened(field)} in the middle plane of {spec.axis_names[2]}"
    )
    return _finished(figure, panels, rows, forecast.title(subject))


def _space_time(forecast: Forecast, field: str) -> Figure:
    rows = _Rows.of(forecast, field, None)
    first, last = forecast.times[[0, -1]]
    edges = (0.5 * first, last + 0.5 * first, *extent(forecast.spec)[0])
    figure, maps = _with_profile(forecast, field, (8.4, 2.0 * rows.number + 0.4), "constrained")
    panels = _draw_rows(maps, rows, [edges], "auto")
    for panel in panels:
        panel.set_ylabel(plain_text(forecast.spec.axis_names[0]))
    panels[-1].set_xlabel("lead time")
    return _finished(figure, panels, rows, forecast.title(shortened(field)))


def _curves(forecast: Forecast, field: str) -> Figure:
    ((left, right),) = extent(forecast.spec)
    (reference,), (prediction,) = forecast.frames(field)
    x = left + (np.arange(len(reference)) + 0.5) * (right - left) / len(reference)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    values, error = figure.subplots(2, 1, sharex=True)
    marker = "." if len(x) == 1 else ""
    values.plot(x, reference, color="black", label="reference", marker=marker)
    values.plot(x, prediction, color="C1", linestyle="--", label="prediction", marker=marker)
    _fill_band(values, forecast, field, x, prediction, 0)
    values.legend(frameon=False)
    values.set_ylabel(plain_text(field))
    error.plot(x, prediction - reference, color="C3", marker=marker)
    error.set(ylabel="error", xlabel=plain_text(forecast.spec.axis_names[0]))
    set_title(figure, forecast.title(shortened(field)))
    return figure


class _Rows(NamedTuple):
    """Images of the rows of a figure, ``(column, horizontal, vertical)`` each."""

    reference: Array
    prediction: Array
    width: Array | None
    width_name: str

    @classmethod
    def of(cls, forecast: Forecast, field: str, steps: Sequence[int] | None) -> _Rows:
        """Take the frames at these steps as columns; ``None``: all frames as one image."""
        name, width = forecast.width(field) or ("", None)

        def columns(frames: Array) -> Array:
            return frames[None] if steps is None else frames[steps]

        reference, prediction = map(columns, forecast.frames(field))
        return cls(reference, prediction, None if width is None else columns(width), name)

    @property
    def error(self) -> Array:
        return self.prediction - self.reference

    @property
    def number(self) -> int:
        return 3 if self.width is None else 4

    @property
    def names(self) -> list[str]:
        return ["reference", "prediction", "error", *([] if self.width is None else [self.width_name])]

    @property
    def outside(self) -> Array | None:
        """Where the reference is outside of a band."""
        is_band = self.width is not None and self.width_name == "half width"
        return np.abs(self.error) > self.width if is_band else None


def _draw_rows(
    figure: Any,
    rows: _Rows,
    edges: Sequence[tuple[float, float, float, float]],
    aspect: Literal["equal", "auto"],
) -> Any:
    """Draw rows of ``(column, horizontal, vertical)`` values within these edges, and return a panel for each."""
    reference, prediction, error = rows.reference, rows.prediction, rows.error
    values, errors = Scale.of_field(reference), Scale.of_error(error, reference)
    drawn = [(reference, values), (prediction, values), (error, errors)]
    if rows.width is not None:
        drawn.append((rows.width, Scale.of_width(rows.width)))
    panels = figure.subplots(len(drawn), 1, sharex=True, sharey=True)
    for panel, (images, scale) in zip(panels, drawn, strict=True):
        for image, (left, right, bottom, top) in zip(images, edges, strict=True):
            scale.show(panel, image, extent=(left, right, bottom, top), aspect=aspect)
            frame = Rectangle((left, bottom), right - left, top - bottom, fill=False, linewidth=0.8, clip_on=False)
            panel.add_patch(frame)
    if rows.outside is not None:
        _mark(panels[2], rows.outside, edges)
    margin = 0.01 * (edges[-1][1] - edges[0][0])
    panels[0].set(xlim=(edges[0][0] - margin, edges[-1][1] + margin), ylim=edges[0][2:])
    figure.colorbar(panels[1].images[0], ax=panels[:2], extend=values.extension(prediction), aspect=40, pad=0.01)
    for panel, (images, scale) in zip(panels[2:], drawn[2:], strict=True):
        figure.colorbar(panel.images[0], ax=[panel], extend=scale.extension(images), aspect=20, pad=0.01)
    return panels


def _mark(panel: Any, outside: Array, edges: Sequence[tuple[float, float, float, float]]) -> None:
    """Put a dot where the reference is outside of the band, on a raster of at most 48 x 24 places of each image."""
    for image, (left, right, bottom, top) in zip(outside, edges, strict=True):
        strides = [max(1, -(-n // most)) for n, most in zip(image.shape, (48, 24), strict=True)]
        i, j = np.nonzero(image[:: strides[0], :: strides[1]])
        x = left + (right - left) * (i * strides[0] + 0.5) / image.shape[0]
        y = bottom + (top - bottom) * (j * strides[1] + 0.5) / image.shape[1]
        panel.plot(x, y, ".", color="black", markersize=1.2)


def _with_profile(
    forecast: Forecast, field: str, size: tuple[float, float], layout: Literal["constrained", "compressed"]
) -> tuple[Figure, Any]:
    """Return a figure with what its maps go into: itself, or where the uncertainty is known a part above a profile."""
    if forecast.width(field) is None:
        figure = Figure(figsize=size, layout=layout)
        return figure, figure
    figure = Figure(figsize=(size[0], size[1] + 2.2), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[size[1], 2.2])
    maps, below = parts
    _draw_profile(below, forecast, field)
    return figure, maps


def _draw_profile(figure: Any, forecast: Forecast, field: str) -> None:
    """Draw reference, prediction and band along the first axis, in the middle of the others."""
    reference, prediction = forecast.frames(field)
    _, width = forecast.width(field) or ("", np.zeros_like(reference))
    (finite,) = np.nonzero(np.isfinite(width).all(axis=tuple(range(1, width.ndim))))
    step = int(finite[-1]) if len(finite) else len(width) - 1
    line = [
        frames[step] if frames.ndim == 2 else frames[step, :, frames.shape[2] // 2]
        for frames in (reference, prediction)
    ]
    (left, right), *others = extent(forecast.spec)
    x = left + (np.arange(len(line[0])) + 0.5) * (right - left) / len(line[0])
    panel = figure.subplots()
    panel.plot(x, line[0], color="black", label="reference")
    panel.plot(x, line[1], color="C1", linestyle="--", label="prediction")
    _fill_band(panel, forecast, field, x, line[1], step)
    panel.legend(frameon=False, ncols=3, loc="upper right")
    panel.margins(x=0)
    names = forecast.spec.axis_names
    middle = f" in the middle of {', '.join(map(plain_text, names[1:]))}" if others else ""
    panel.set(xlabel=plain_text(names[0]), ylabel=plain_text(field))
    panel.set_title(f"{', '.join(forecast.lead_time(step).splitlines())}{middle}")


def _fill_band(panel: Any, forecast: Forecast, field: str, x: Array, prediction: Array, step: int) -> None:
    """Fill the band around a curve, of an ensemble twice its spread."""
    if (found := forecast.width(field)) is None:
        return
    name, width = found
    half = width[step] if width.ndim == 2 else width[step, :, width.shape[2] // 2]
    label = "band"
    if name == "spread":
        half, label = 2 * half, "two standard deviations"
    panel.fill_between(x, prediction - half, prediction + half, color="C1", alpha=0.25, linewidth=0, label=label)


def _finished(figure: Figure, panels: Any, rows: _Rows, title: str) -> Figure:
    for name, panel in zip(rows.names, panels, strict=True):
        panel.set_ylabel(f"{name}\n{panel.get_ylabel()}")
        panel.spines[:].set_visible(False)
    set_title(figure, title)
    return figure
