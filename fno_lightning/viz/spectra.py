"""Power spectra of a forecast."""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from torch import Tensor

from fno_lightning.data import FieldSpec
from fno_lightning.data.hdf5.resampling import uniform_matrix
from fno_lightning.metrics import shell_power
from fno_lightning.viz.axes import STYLE, boundaries, extent, plain_text, set_title
from fno_lightning.viz.forecast import Forecast

_RANGE = 1e10  # of power about the strongest shell of the reference; below it is round-off


@mpl.rc_context(STYLE)
def spectra_figure(forecast: Forecast, n_times: int = 4) -> Figure:
    """Draw the power spectrum of every field at several lead times: reference solid, prediction dashed.

    Power is summed over shells of the wavenumber's length; axes that are not periodic are tapered by a Hann window.

    Args:
        forecast: The forecast and its reference.
        n_times: Number of lead times, from the first to the last.
    """
    spec = forecast.spec
    steps = forecast.evenly_spaced(n_times)
    wavenumber, reference = radial_spectrum(forecast.reference[steps], spec)
    _, prediction = radial_spectrum(forecast.prediction[steps], spec)
    n_columns = min(len(spec.fields), 4)
    n_rows = -(-len(spec.fields) // n_columns)
    figure = Figure(figsize=(1.2 + 2.5 * n_columns, 0.9 + 2.4 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, sharex=True, squeeze=False).ravel()
    colors = mpl.colormaps["viridis"](np.linspace(0, 0.85, len(steps)))
    marker = "." if len(wavenumber) == 1 else ""
    for channel, (panel, field) in enumerate(zip(panels, spec.fields, strict=False)):
        for k, (step, color) in enumerate(zip(steps, colors, strict=True)):
            label = forecast.lead_time(step).replace("\n", ", ")
            panel.loglog(wavenumber, reference[k, channel], color=color, label=label, marker=marker)
            panel.loglog(wavenumber, prediction[k, channel], color=color, linestyle="--", marker=marker)
        strongest = float(reference[:, channel].nan_to_num(posinf=0.0).max())
        bottom, top = panel.get_ylim()
        if strongest > 0:
            panel.set_ylim(max(bottom, strongest / _RANGE), min(top, strongest * _RANGE))
        panel.set(title=plain_text(field), xlabel="wavenumber |k|")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.grid(color="0.9")
    for panel in panels[len(spec.fields) :]:
        panel.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(steps), frameon=False)
    figure.supylabel("power")
    set_title(figure, forecast.title("power spectra, prediction dashed"))
    return figure


def radial_spectrum(
    fields: Float[Tensor, "time field *grid"], spec: FieldSpec
) -> tuple[Float[Tensor, " shell"], Float[Tensor, "time field shell"]]:
    """Return the wavenumbers of shells as wide as the lowest wavenumber, and the power of the fields in each shell.

    It is the lowest along the shortest axis that has one below the highest that all axes resolve; axes of one point
    have none. Fields on uneven axes are resampled to even points before.

    Raises:
        ValueError: if all axes have one point.
    """
    grid_shape = fields.shape[2:]
    lengths = [high - low for low, high in extent(spec)]
    spacing = [length / n for length, n in zip(lengths, grid_shape, strict=True)]
    resolved = [axis for axis, n_points in enumerate(grid_shape) if n_points > 1]
    if not resolved:
        raise ValueError("a grid of one point has no wavenumbers, so there is no spectrum")
    highest = math.pi / max(spacing[axis] for axis in resolved)
    counts = {lengths[axis]: math.floor(highest * lengths[axis] / (2 * math.pi) + 1e-9) for axis in resolved}
    length = min(length for length, n_shells in counts.items() if n_shells > 0)
    edges = 2 * math.pi / length * (torch.arange(counts[length] + 1, dtype=torch.float64) + 0.5)
    spacing = [distance if axis in resolved else 1.0 for axis, distance in enumerate(spacing)]
    fields = fields.double().cpu()
    for axis, (points, n_points) in enumerate(zip(spec.coordinates, grid_shape, strict=False), start=2):
        if len(points) == n_points:
            is_periodic = boundaries(spec)[axis - 2] == ("periodic", "periodic")
            matrix = torch.from_numpy(uniform_matrix(np.array(points), is_periodic=is_periodic))
            fields = (fields.movedim(axis, -1) @ matrix.T).movedim(-1, axis)
    for axis, (n_points, sides) in enumerate(zip(grid_shape, boundaries(spec), strict=True)):
        if sides != ("periodic", "periodic") and n_points > 2:  # a window of two points is zero
            hann = torch.hann_window(n_points, periodic=False, dtype=torch.float64) * math.sqrt(8 / 3)
            fields = fields * hann.view(-1, *(1,) * (len(grid_shape) - 1 - axis))
    return (edges[:-1] + edges[1:]) / 2, shell_power(fields, edges, n_dims=len(grid_shape), spacing=spacing)
