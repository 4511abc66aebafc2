"""Figures on disk and in TensorBoard."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from fno_lightning.data import FieldSpec
from fno_lightning.files import atomic_file
from fno_lightning.metrics.log_name import Forecaster, Window
from fno_lightning.viz import (
    Forecast,
    error_figure,
    resolution_figure,
    rollout_figure,
    spectra_figure,
    write_animation,
)

_LONGEST_NAME = 50  # of a field in a file name; letters may take four bytes each, and a name has 255 of them

log = logging.getLogger(__name__)


class Pictures:
    """Draw a rollout evaluation, as files and into TensorBoard.

    A picture that cannot be drawn or written stops nothing: a warning says which one and why.

    Args:
        folder: Folder of the pictures.
        logger: The logger to draw into; ``None``: files only.
        stage: First part of the names, ``val`` or ``test``.
        step: Training step of the figures in TensorBoard.
    """

    def __init__(self, folder: Path, logger: TensorBoardLogger | None, stage: str, step: int) -> None:
        self.folder = folder
        self.stage = stage
        self.step = step
        self._logger = logger

    def draw_forecasts(self, forecasts: Sequence[Forecast], *, animation: bool) -> None:
        """Draw each field over time and the spectra of each forecast, and animate its first field.

        Irregular points have neither spectra nor animations.
        """
        for i, forecast in enumerate(forecasts):
            self._draw_forecast(forecast, str(i), animation=animation)

    def draw_worst(self, forecasts: Mapping[int, Forecast], *, animation: bool) -> None:
        """Draw the worst forecasts likewise, in files that name their parameters.

        Args:
            forecasts: Forecasts by their rank; 0 is the worst.
            animation: Whether to animate the first field.
        """
        for rank, forecast in forecasts.items():
            scalars = zip(forecast.spec.scalars, forecast.scalars.tolist(), strict=True)
            words = ["worst", *([str(rank)] if rank else []), *(f"{name}={value:.4g}" for name, value in scalars)]
            text = "_".join(words)
            self._draw_forecast(forecast, file_names([text])[text], animation=animation)

    def draw_parameter(self, name: str, make: Callable[[], Figure]) -> None:
        """Draw errors against a parameter."""
        self._draw(f"rollout/errors_by_{name}", make)

    def _draw_forecast(self, forecast: Forecast, ending: str, *, animation: bool) -> None:
        names = file_names(forecast.spec.fields)
        for field, name in names.items():
            self._draw(f"rollout/{name}_{ending}", partial(rollout_figure, forecast, field))
        if forecast.spec.is_irregular:
            return
        if max(forecast.spec.grid_shape) > 1:
            self._draw(f"rollout/spectra_{ending}", partial(spectra_figure, forecast))
        if animation and forecast.n_steps > 1:
            field = forecast.spec.fields[0]
            self._animate(f"rollout/{names[field]}_{ending}", forecast, field)

    def draw_errors(
        self, errors: Mapping[Forecaster, Tensor], spec: FieldSpec, name: str, windows: Sequence[Window]
    ) -> None:
        """Draw an error of every forecaster against lead time."""
        self._draw(
            f"rollout/{file_names([name])[name]}_by_lead_time",
            partial(error_figure, errors, spec, name=name.upper(), windows=windows),
        )

    def draw_resolutions(
        self, errors: Mapping[tuple[int, ...], Mapping[str, float]], trained: Set[tuple[int, ...]], spec: FieldSpec
    ) -> None:
        """Draw errors by metric against the grid, those of the training marked."""
        self._draw("resolutions", partial(resolution_figure, errors, trained, spec))

    def _draw(self, name: str, make: Callable[[], Figure]) -> None:
        self._attempt(f"{name}.png", lambda: self._save(name, make()))

    def _animate(self, name: str, forecast: Forecast, field: str) -> None:
        path = self.folder / self.stage / f"{name}.gif"
        self._attempt(f"{name}.gif", partial(write_animation, forecast, field, path))

    def _attempt(self, name: str, draw: Callable[[], None]) -> None:
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")  # of layouts and missing glyphs, which no user of a training can mend
                draw()
        except Exception as error:
            cause = " ".join(f"{type(error).__name__}: {error}".split())
            log.warning("the picture %s/%s is missing: %s", self.stage, name, cause)
            log.debug("traceback of the picture %s/%s:", self.stage, name, exc_info=True)

    def _save(self, name: str, figure: Figure) -> None:
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
        with atomic_file(self.folder / self.stage / f"{name}.png") as path:
            Image.fromarray(pixels).save(path, format="PNG")
        if self._logger is not None:
            self._logger.experiment.add_image(f"{self.stage}/{name}", pixels, self.step, dataformats="HWC")


def file_names(names: Sequence[str]) -> dict[str, str]:
    """Return a name for files for each of these names: the same, if it is short and has no characters like ``/``.

    >>> file_names(["density", "u/v", "u_v"])
    {'density': 'density', 'u/v': 'u_v-1', 'u_v': 'u_v'}
    """
    found: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^\w.+=-]", "_", name)[:_LONGEST_NAME].lstrip(".") or "_"
        number = 0
        while plain != name and (plain if not number else f"{plain}-{number}") in {*names, *found.values()}:
            number += 1
        found[name] = f"{plain}-{number}" if number else plain
    return found
