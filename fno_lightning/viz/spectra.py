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
from fno_lightning.viz.axes import STYLE, boundaries, extent, set_title
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
    for channel, (panel, field) in enumerate(zip(panels, spec.fields, strict=False)):
        for k, (step, color) in enumerate(zip(steps, colors, strict=True)):
            label = forecast.lead_time(step).replace("\n", ", ")
            panel.loglog(wavenumber, reference[k, channel], color=color, label=label)
            panel.loglog(wavenumber, prediction[k, channel], color=color, linestyle="--")
        strongest = float(reference[:, channel].max())
        bottom, top = panel.get_ylim()
        panel.set_ylim(max(bottom, strongest / _RANGE), min(top, strongest * _RANGE))
        panel.set(title=field, xlabel="wavenumber |k|")
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

    Fields on uneven axes are resampled to even points before.
    """
    grid_shape = fields.shape[2:]
    lengths = [high - low for low, high in extent(spec)]
    spacing = [length / n for length, n in zip(lengths, grid_shape, strict=True)]
    width = 2 * math.pi / min(lengths)
    highest = math.pi / max(spacing)
    edges = width * (torch.arange(math.floor(highest / width) + 1, dtype=torch.float64) + 0.5)
    fields = fields.double().cpu()
    for axis, (points, n_points) in enumerate(zip(spec.coordinates, grid_shape, strict=False), start=2):
        if len(points) == n_points:
            is_periodic = boundaries(spec)[axis - 2] == ("periodic", "periodic")
            matrix = torch.from_numpy(uniform_matrix(np.array(points), is_periodic=is_periodic))
            fields = (fields.movedim(axis, -1) @ matrix.T).movedim(-1, axis)
    for axis, (n_points, sides) in enumerate(zip(grid_shape, boundaries(spec), strict=True)):
        if sides != ("periodic", "periodic"):
            hann = torch.hann_window(n_points, periodic=False, dtype=torch.float64) * math.sqrt(8 / 3)
            fields = fields * hann.view(-1, *(1,) * (len(grid_shape) - 1 - axis))
    return (edges[:-1] + edges[1:]) / 2, shell_power(fields, edges, n_dims=len(grid_shape), spacing=spacing)
