"""A solution of a steady problem beside what was given."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.figure import Figure

from fno_lightning.callbacks.figures.axes import STYLE, Scale, extent, name_axes, panel_shape, set_title
from fno_lightning.callbacks.figures.forecast import Forecast


@mpl.rc_context(STYLE)
def steady_figure(forecast: Forecast, field: str) -> Figure:
    """Draws a row of maps: the constant fields, then reference, prediction and error of one field.

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
        panel.set_title(name)
    set_title(figure, forecast.title(field))
    return figure
