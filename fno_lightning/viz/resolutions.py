"""Error of one operator against the grid."""

from __future__ import annotations

from collections.abc import Mapping, Set

import matplotlib as mpl
from matplotlib.figure import Figure

from fno_lightning.data import FieldSpec
from fno_lightning.viz.axes import STYLE, set_title, shortened


@mpl.rc_context(STYLE)
def resolution_figure(
    errors: Mapping[tuple[int, ...], Mapping[str, float]], trained: Set[tuple[int, ...]], spec: FieldSpec
) -> Figure:
    """Draw errors against the grid, from coarse to fine, on a logarithmic scale.

    Args:
        errors: Errors by metric of each grid.
        trained: Grids of the training; their points are filled.
        spec: Specification of the data set.
    """
    grids = sorted(errors)
    figure = Figure(figsize=(4.5, 3.2), layout="constrained")
    panel = figure.subplots()
    for number, metric in enumerate(errors[grids[0]]):
        color = f"C{number}"
        values = [errors[grid][metric] for grid in grids]
        panel.plot(range(len(grids)), values, label=metric, color=color)
        for position, (grid, value) in enumerate(zip(grids, values, strict=True)):
            fill = color if grid in trained else "white"
            panel.plot(position, value, "o", color=color, markerfacecolor=fill)
    panel.set(yscale="log", xlabel="grid (filled: trained on)", ylabel="error")
    panel.set_xticks(range(len(grids)), ["x".join(map(str, grid)) for grid in grids])
    panel.grid(color="0.9")
    panel.legend(frameon=False)
    simulated = ", simulated data" if "simulated" in spec.source.lower() else ""
    set_title(figure, f"Error against grid, {shortened(spec.dataset_name)}{simulated}")
    return figure
