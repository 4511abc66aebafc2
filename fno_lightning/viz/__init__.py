"""Figures of forecasts: tensors in, Matplotlib figures out; no logger, no global state."""

from fno_lightning.viz.animation import write_animation
from fno_lightning.viz.error_curves import error_figure
from fno_lightning.viz.forecast import Forecast
from fno_lightning.viz.parameter_errors import parameter_figure
from fno_lightning.viz.resolutions import resolution_figure
from fno_lightning.viz.rollout import rollout_figure
from fno_lightning.viz.spectra import radial_spectrum, spectra_figure

__all__ = [
    "Forecast",
    "error_figure",
    "parameter_figure",
    "radial_spectrum",
    "resolution_figure",
    "rollout_figure",
    "spectra_figure",
    "write_animation",
]
