"""Animation of a forecast."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from PIL import Image

from fno_lightning.files import atomic_file
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

Moving: TypeAlias = Sequence[tuple[Artist, Callable[[int], None]]]
"""Artists of a figure that change, each with the function that draws a frame into it."""


@mpl.rc_context(STYLE)
def write_animation(
    forecast: Forecast, field: str, path: Path, *, frames_per_second: int = 10, n_frames: int = 50
) -> None:
    """Write reference, prediction and error of one field side by side as a GIF file.

    Args:
        forecast: The forecast and its reference.
        field: Field to show.
        path: Path of the file, which is replaced as a whole.
        frames_per_second: Speed.
        n_frames: Largest number of frames; longer forecasts are shown in larger steps.
    """
    steps = range(0, forecast.n_steps, -(-forecast.n_steps // n_frames))
    first, *others = (Image.fromarray(frame).quantize() for frame in _frames(forecast, field, steps))
    duration = 1000 // frames_per_second
    with atomic_file(path) as temporary:
        first.save(temporary, format="GIF", save_all=True, append_images=others, duration=duration, loop=0)


def _frames(forecast: Forecast, field: str, steps: range) -> Iterator[Array]:
    """Draw the background once, and the artists that change over it, frame by frame."""
    figure, parts = (_curves if forecast.spec.n_dims == 1 else _maps)(forecast, field)
    set_title(figure, forecast.title(shortened(field)))
    clock = figure.supxlabel(_clock(forecast, 0))
    moving: Moving = (*parts, (clock, lambda step: clock.set_text(_clock(forecast, step))))
    for artist, _ in moving:
        artist.set_animated(True)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    background = canvas.copy_from_bbox(figure.bbox)
    for step in steps:
        canvas.restore_region(background)
        for artist, move in moving:
            move(step)
            figure.draw_artist(artist)
        yield np.array(canvas.buffer_rgba())[..., :3]


def _clock(forecast: Forecast, step: int) -> str:
    return "lead time: " + forecast.lead_time(step).replace("\n", ", ")


def _maps(forecast: Forecast, field: str) -> tuple[Figure, Moving]:
    reference, prediction = forecast.frames(field)
    error = prediction - reference
    values, errors = Scale.of_field(reference), Scale.of_error(error, reference)
    width, height, aspect = panel_shape(forecast.spec, area=6.0)
    figure = Figure(figsize=(3 * width + 2.2, height + 1.3), dpi=90, layout="compressed")
    panels = figure.subplots(1, 3, sharey=True)
    horizontal, vertical = extent(forecast.spec)[:2]
    moving = []
    parts = (("reference", reference, values), ("prediction", prediction, values), ("error", error, errors))
    for panel, (name, frames, scale) in zip(panels, parts, strict=True):
        image = scale.show(panel, frames[0], extent=(*horizontal, *vertical), aspect=aspect)
        name_axes(panel, forecast.spec)
        panel.set_title(name)
        panel.label_outer()
        panel.spines[:].set_visible(False)
        moving.append((image, _image_mover(image, frames)))
    figure.colorbar(moving[1][0], ax=panels[:2], extend=values.extension(prediction), pad=0.01)
    figure.colorbar(moving[2][0], ax=panels[2:], extend=errors.extension(error), pad=0.01)
    return figure, moving


def _curves(forecast: Forecast, field: str) -> tuple[Figure, Moving]:
    reference, prediction = forecast.frames(field)
    error = prediction - reference
    ((left, right),) = extent(forecast.spec)
    x = left + (np.arange(reference.shape[1]) + 0.5) * (right - left) / reference.shape[1]
    figure = Figure(figsize=(6.5, 4.5), dpi=90, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    marker = "." if len(x) == 1 else ""
    (solid,) = upper.plot(x, reference[0], color="black", label="reference", marker=marker)
    (dashed,) = upper.plot(x, prediction[0], color="C1", linestyle="--", label="prediction", marker=marker)
    (difference,) = lower.plot(x, error[0], color="C3", marker=marker)
    upper.set(ylabel=plain_text(field), ylim=_limits(Scale.of_field(reference)))
    lower.set(ylabel="error", ylim=_limits(Scale.of_error(error, reference)))
    lower.set_xlabel(plain_text(forecast.spec.axis_names[0]))
    upper.legend(frameon=False, loc="upper right")
    curves = ((solid, reference), (dashed, prediction), (difference, error))
    return figure, [(curve, _line_mover(curve, frames)) for curve, frames in curves]


def _image_mover(image: AxesImage, frames: Array) -> Callable[[int], None]:
    return lambda step: image.set_data(np.ma.masked_invalid(frames[step].T))


def _line_mover(line: Line2D, frames: Array) -> Callable[[int], None]:
    return lambda step: line.set_ydata(frames[step])


def _limits(scale: Scale) -> tuple[float, float]:
    margin = 0.05 * (scale.high - scale.low)
    return scale.low - margin, scale.high + margin
