"""Pictures of a race: error against lead time, spectra, error by parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fno_lightning.viz.axes import STYLE, plain_text
from tests.race.summary import KEPT, WINDOWS, Summary
from tests.race.table import PERSISTENCE, Line, parameter_labels


def draw(lines: Sequence[Line], folder: Path, name: str) -> None:
    """Write ``errors_<name>.png``, ``spectra_<name>.png`` and ``parameters_<name>.png``."""
    with mpl.rc_context(STYLE):
        errors_figure(lines).savefig(folder / f"errors_{name}.png")
        parameters_figure(lines).savefig(folder / f"parameters_{name}.png")
        if trained := [line for line in lines if line.is_trained]:
            spectra_figure(trained, _styles(lines)).savefig(folder / f"spectra_{name}.png")


def errors_figure(lines: Sequence[Line]) -> Figure:
    """Draw the error against lead time: mean over the fields, then field by field; bands hold all seeds."""
    fields = lines[0].summaries[0].fields
    subjects: dict[str, Callable[[Summary], np.ndarray]] = {"mean over fields": lambda s: s.curve}
    subjects |= {field: lambda s, i=i: s.curves[:, i] for i, field in enumerate(fields)}
    figure, panels = _panels(len(subjects), 3, sharey=True)
    for panel, (subject, curve) in zip(panels, subjects.items(), strict=False):
        for line, style in zip(lines, _styles(lines), strict=True):
            values = [curve(summary) for summary in line.summaries]
            _band(panel, np.arange(1, len(values[0]) + 1), values, label=line.name, **style)
        for first, last in WINDOWS:
            panel.axvspan(first + 0.5, last + 0.5, color="0.94", linewidth=0, zorder=0)
        panel.set(title=plain_text(subject), yscale="log", xlabel="step", ylabel="VRMSE")
        panel.grid(color="0.9")
    _limit(panels, [line.spread(lambda s: s.curves)[0] for line in lines])
    return _finished(figure, panels, "Error against lead time; bands: all seeds, shaded: windows")


def spectra_figure(lines: Sequence[Line], styles: Sequence[dict[str, Any]]) -> Figure:
    """Draw the power of the forecasts over the truth's against the wavenumber, for each field and step."""
    first = lines[0].summaries[0]
    steps = first.evaluation["spectrum_steps"]
    wavenumber = np.array(first.evaluation["wavenumber"])
    figure, panels = _panels(len(steps) * len(first.fields), len(first.fields), sharey=True)
    for panel, (step, i) in zip(panels, ((step, i) for step in steps for i in range(len(first.fields))), strict=True):
        for line, style in zip(lines, styles[-len(lines) :], strict=True):
            _band(panel, wavenumber, [s.spectrum_ratio(step)[i] for s in line.summaries], label=line.name, **style)
        panel.axhspan(*KEPT, color="0.93", linewidth=0, zorder=0)
        panel.axvline(wavenumber[first.n_half - 1], color="0.6", linestyle=":")
        panel.set(title=f"{plain_text(first.fields[i])}, step {step}", xscale="log", yscale="log", ylim=(0.03, 30))
        panel.set(xlabel="wavenumber |k|", ylabel="power / truth")
        panel.grid(color="0.9")
    title = f"Power over the truth's; shaded: {KEPT[0]} to {KEPT[1]}, dotted: half the resolved wavenumbers"
    return _finished(figure, panels, title)


def parameters_figure(lines: Sequence[Line]) -> Figure:
    """Draw the error for each set of parameters: next step and windows."""
    first = lines[0].summaries[0]
    labels = parameter_labels(first)
    periods = {"one step": None, **{f"{w[0]}:{w[1]}": w for w in WINDOWS}}
    figure, panels = _panels(len(periods), 3, sharey=True)
    for panel, (title, window) in zip(panels, periods.items(), strict=True):
        for line, style in zip(lines, _styles(lines), strict=True):
            values = [summary.by_parameter(window) for summary in line.summaries]
            _band(panel, np.arange(len(labels)), values, label=line.name, marker=".", **style)
        panel.set(title=title, yscale="log", xlabel=", ".join(first.evaluation["scalars"]), ylabel="VRMSE")
        panel.set_xticks(np.arange(len(labels)), labels, rotation=45)
        panel.grid(color="0.9")
    _limit(panels, [line.spread(lambda s, w=w: s.by_parameter(w))[0] for line in lines for w in periods.values()])
    return _finished(figure, panels, "Error by parameter; bands: all seeds")


def _panels(n: int, n_columns: int, **options: Any) -> tuple[Figure, list[Axes]]:
    n_columns = min(n, n_columns)
    n_rows = -(-n // n_columns)
    figure = Figure(figsize=(1.2 + 2.6 * n_columns, 1.3 + 2.2 * n_rows), layout="constrained")
    panels = list(figure.subplots(n_rows, n_columns, squeeze=False, **options).ravel())
    for panel in panels[n:]:
        panel.set_axis_off()
    return figure, panels[:n]


def _styles(lines: Sequence[Line]) -> list[dict[str, Any]]:
    colors = [color for name in ("tab10", "Dark2") for color in mpl.colormaps[name].colors]
    others = sorted(line.name for line in lines if line.name != PERSISTENCE)
    return [
        {"color": "0.2", "linestyle": "--"}
        if line.name == PERSISTENCE
        else {"color": colors[others.index(line.name) % len(colors)], "linestyle": "-"}
        for line in lines
    ]


def _band(panel: Axes, x: np.ndarray, values: Sequence[np.ndarray], **style: Any) -> None:
    stacked = np.where(np.isfinite(values), values, np.nan)
    panel.plot(x, stacked.mean(axis=0), linewidth=1.3, **style)
    if len(stacked) > 1:
        panel.fill_between(x, stacked.min(axis=0), stacked.max(axis=0), color=style["color"], alpha=0.18, linewidth=0)


def _limit(panels: Sequence[Axes], values: Sequence[np.ndarray]) -> None:
    """Show errors up to 10; of what is above, only that it is."""
    largest = max((float(v[np.isfinite(v)].max(initial=0)) for v in values), default=1)
    for panel in panels:
        panel.set_ylim(top=min(1.5 * largest, 10) or 1)


def _finished(figure: Figure, panels: Sequence[Axes], title: str) -> Figure:
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False)
    figure.suptitle(title)
    return figure
