"""Reference, prediction and error of a field on irregular points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.tri import Triangulation

from fno_lightning.data import point_positions, point_weight
from fno_lightning.derivatives.point_cloud import nearest_neighbours
from fno_lightning.viz.axes import STYLE, Array, Scale, plain_text, set_title, shortened
from fno_lightning.viz.forecast import Forecast

LONGEST_EDGE = 4.0
"""Longest edge of a triangle that is drawn, in distances to the third-nearest point: longer ones bridge a gap."""

FEWEST_POINTS = 8
"""Fewest points that are joined to a surface; fewer are drawn as dots."""


@mpl.rc_context(STYLE)
def points_figure(forecast: Forecast, field: str) -> Figure:
    """Draw reference, prediction and error (prediction minus reference) of one field on its points.

    In two dimensions the points are joined to triangles where they are close, in three they are dots, in one a curve.
    A steady problem: a row that begins with the inputs. Others: a row for each, a column for each of some lead times.
    Colours are those of :func:`~fno_lightning.viz.rollout_figure`.
    """
    if forecast.constants is None:
        raise ValueError("irregular points are drawn where they lie, but the forecast has no constants")
    spec, channel = forecast.spec, forecast.spec.fields.index(field)
    weight = point_weight(forecast.constants, spec)
    assert weight is not None
    kept = weight > 0
    cloud = Cloud(np.asarray(point_positions(forecast.constants, spec)[kept].double()), spec.positions)
    steps = forecast.evenly_spaced(4)
    reference, prediction = (
        np.asarray(frames[steps, channel][:, kept].double()) for frames in (forecast.reference, forecast.prediction)
    )
    error = prediction - reference
    values, errors = Scale.of_field(reference), Scale.of_error(error, reference)
    rows: Mapping[str, tuple[Array, Scale]] = {
        "reference": (reference, values),
        "prediction": (prediction, values),
        "error": (error, errors),
    }
    if forecast.is_steady:
        inputs = {name: np.asarray(forecast.constants[i, kept].double()) for i, name in enumerate(spec.constant_fields)}
        given = {
            name: (part[None], Scale.of_field(part))
            for name, part in inputs.items()
            if name not in (*spec.positions, "point_weight")
        }
        return _steady(forecast, field, cloud, {**given, **rows})
    return _over_time(forecast, field, cloud, rows, steps)


class Cloud:
    """Points to draw values on.

    Args:
        positions: Coordinates, ``(point, dim)``.
        names: Names of the coordinates.
    """

    def __init__(self, positions: Array, names: tuple[str, ...]) -> None:
        self.positions = positions
        self.names = [plain_text(name) for name in names]
        self.triangles = _triangles(positions) if positions.shape[1] == 2 else None
        low, high = positions.min(axis=0), positions.max(axis=0)
        length = np.maximum(high - low, 1e-12)
        self.aspect = float(np.clip(length[1] / length[0], 0.4, 2.5)) if positions.shape[1] == 2 else 0.8

    @property
    def projection(self) -> str | None:
        """Projection of the panels."""
        return "3d" if self.positions.shape[1] == 3 else None

    def draw(self, panel: Any, values: Array, scale: Scale) -> Any:
        """Draw values; those that are not finite are left out. Return what a bar of colours describes, if there is."""
        finite = np.isfinite(values)
        colors: dict[str, Any] = {"cmap": scale.colors, "vmin": scale.low, "vmax": scale.high}
        columns = self.positions.T
        if len(columns) == 1:
            order = np.argsort(columns[0])
            panel.plot(columns[0][order], values[order], marker="." if len(order) < 50 else "")
            panel.set(xlabel=self.names[0])
            return None
        if self.triangles is not None and finite.all():
            drawn = panel.tripcolor(self.triangles, values, shading="gouraud", **colors)
        else:
            size = float(np.clip(4000 / len(values), 1, 40))
            drawn = panel.scatter(*columns[:, finite], c=values[finite], s=size, linewidths=0, **colors)
        panel.set_aspect("equal")
        if len(columns) == 2:
            panel.set(xlabel=self.names[0], ylabel=self.names[1])
        else:
            panel.set_axis_off()
        return drawn


def _triangles(positions: Array) -> Triangulation | None:
    """Join points to triangles, but for those that bridge a gap or a hole; ``None`` if there are too few."""
    if len(positions) < FEWEST_POINTS:
        return None
    try:
        joined = Triangulation(*positions.T)
    except (RuntimeError, ValueError):  # all on a line
        return None
    points = torch.from_numpy(positions)
    reach = (points[nearest_neighbours(points, 3)[:, -1]] - points).norm(dim=1).numpy()
    corners = positions[joined.triangles]
    edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    is_long = edges > LONGEST_EDGE * reach[joined.triangles].max(axis=1)
    if is_long.all():
        return None
    joined.set_mask(is_long)
    return joined


def _steady(forecast: Forecast, field: str, cloud: Cloud, maps: Mapping[str, tuple[Array, Scale]]) -> Figure:
    figure = Figure(figsize=(2.9 * len(maps), 2.1 * cloud.aspect + 1.1), layout="constrained")
    panels = figure.subplots(1, len(maps), squeeze=False, subplot_kw={"projection": cloud.projection})[0]
    for panel, (name, ((values,), scale)) in zip(panels, maps.items(), strict=True):
        drawn = cloud.draw(panel, values, scale)
        if drawn is not None:
            figure.colorbar(drawn, ax=panel, extend=scale.extension(values), aspect=25, pad=0.02)
        panel.set_title(plain_text(name))
        _label_outer(panel)
    set_title(figure, forecast.title(shortened(field)))
    return figure


def _over_time(
    forecast: Forecast, field: str, cloud: Cloud, rows: Mapping[str, tuple[Array, Scale]], steps: list[int]
) -> Figure:
    figure = Figure(figsize=(2.4 * len(steps) + 1, 3 * (2.0 * cloud.aspect + 0.3) + 0.8), layout="constrained")
    shape: dict[str, Any] = {"squeeze": False, "subplot_kw": {"projection": cloud.projection}}
    panels = figure.subplots(len(rows), len(steps), **shape)
    for line, (name, (frames, scale)) in zip(panels, rows.items(), strict=True):
        for panel, values, step in zip(line, frames, steps, strict=True):
            drawn = cloud.draw(panel, values, scale)
            if name == "reference":
                panel.set_title(forecast.lead_time(step))
            _label_outer(panel)
        line[0].annotate(name, (-0.3, 0.5), xycoords="axes fraction", rotation=90, va="center", ha="right")
        if drawn is not None:
            figure.colorbar(drawn, ax=list(line), extend=scale.extension(frames), aspect=25, pad=0.02)
    set_title(figure, forecast.title(shortened(field)))
    return figure


def _label_outer(panel: Axes) -> None:
    if panel.name != "3d":
        panel.label_outer()
