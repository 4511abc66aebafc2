"""Growth of the error with lead time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from fno_lightning.data import FieldSpec
from fno_lightning.metrics.log_name import Forecaster, Window, format_window
from fno_lightning.viz.axes import STYLE, Array, plain_text, set_title, shortened

CURVES: Mapping[Forecaster, Any] = {
    "model": {"color": "C0", "linewidth": 2.0},
    "persistence": {"color": "0.3", "linestyle": "--"},
    "mean": {"color": "0.5", "linestyle": ":"},
}
"""Line of each forecaster in every figure of errors."""

_WINDOW_LABEL: Mapping[str, Any] = {"rotation": 90, "ha": "center", "va": "bottom", "color": "0.5", "fontsize": 7}


@mpl.rc_context(STYLE)
def error_figure(
    errors: Mapping[Forecaster, Float[Tensor, "time field"]],
    spec: FieldSpec,
    *,
    name: str = "VRMSE",
    windows: Sequence[Window] = (),
) -> Figure:
    """Draw an error against lead time on a logarithmic scale: the mean over the fields, then field by field.

    A curve ends where the forecast stops being finite, and a cross marks its end.

    Args:
        errors: Errors of the ``model`` and of the baselines ``persistence`` and ``mean``, or some of them.
        spec: Specification of the data set.
        name: Name of the error.
        windows: Windows of lead time to be shaded, as slices of the predicted frames.
    """
    curves = {forecaster: error.double().cpu().numpy() for forecaster, error in errors.items()}
    subjects = {
        field: {forecaster: error[:, i] for forecaster, error in curves.items()} for i, field in enumerate(spec.fields)
    }
    if len(subjects) > 1:
        means = {forecaster: error.mean(axis=1) for forecaster, error in curves.items()}
        subjects = {"mean over fields": means, **subjects}
    n_columns = min(len(subjects), 3)
    n_rows = -(-len(subjects) // n_columns)
    figure = Figure(figsize=(1.2 + 2.7 * n_columns, 0.9 + 2.2 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).ravel()
    unit = spec.time_step or 1.0
    for panel, (subject, by_forecaster) in zip(panels, subjects.items(), strict=False):
        for forecaster, error in by_forecaster.items():
            _draw_curve(panel, unit, error, forecaster)
        for first, last in windows:
            panel.axvspan((first + 0.5) * unit, (last + 0.5) * unit, color="0.94", linewidth=0, zorder=0)
            middle = 0.5 * (first + last + 1) * unit
            panel.text(
                middle, 0.02, format_window((first, last)), transform=panel.get_xaxis_transform(), **_WINDOW_LABEL
            )
        panel.set(title=plain_text(subject), yscale="log")
        panel.grid(color="0.9")
    for panel in panels[len(subjects) :]:
        panel.set_axis_off()
    panels[0].legend(frameon=False)
    figure.supxlabel("lead time" if spec.time_step else "step")
    figure.supylabel(plain_text(name))
    simulated = ", simulated data" if "simulated" in spec.source.lower() else ""
    set_title(figure, f"{name} against lead time, {shortened(spec.dataset_name)}{simulated}")
    return figure


def _draw_curve(panel: Axes, unit: float, error: Array, forecaster: Forecaster) -> None:
    time = unit * np.arange(1, len(error) + 1)
    finite = np.isfinite(error)
    n_finite = len(error) if finite.all() else int(np.argmin(finite))
    marker = "." if len(error) == 1 else ""
    panel.plot(time[:n_finite], error[:n_finite], label=forecaster, marker=marker, **CURVES[forecaster])
    if 0 < n_finite < len(error):
        panel.plot(time[n_finite - 1], error[n_finite - 1], "x", color=CURVES[forecaster]["color"])
