"""Figures on disk and in TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from fno_lightning.viz import Forecast, error_figure, rollout_figure, spectra_figure, write_animation


class Pictures:
    """Draw a rollout evaluation, into TensorBoard and as files in the folder ``pictures`` beside its log.

    Args:
        logger: The logger to draw into.
        stage: First part of the names, ``val`` or ``test``.
        step: Training step of the figures in TensorBoard.
    """

    def __init__(self, logger: TensorBoardLogger, stage: str, step: int) -> None:
        self.folder = Path(logger.log_dir) / "pictures"
        self.stage = stage
        self.step = step
        self._board = logger.experiment

    def draw_forecasts(self, forecasts: Sequence[Forecast], *, animation: bool) -> None:
        """Draw each field over time and the spectra of each forecast, and animate its first field."""
        for i, forecast in enumerate(forecasts):
            for field in forecast.spec.fields:
                self._save(f"rollout/{field}_{i}", rollout_figure(forecast, field))
            self._save(f"rollout/spectra_{i}", spectra_figure(forecast))
            if animation and forecast.n_steps > 1:
                field = forecast.spec.fields[0]
                write_animation(forecast, field, self.folder / self.stage / "rollout" / f"{field}_{i}.gif")

    def draw_errors(
        self, errors: Mapping[Forecaster, Tensor], spec: FieldSpec, name: str, windows: Sequence[Window]
    ) -> None:
        """Draw an error of every forecaster against lead time."""
        figure = error_figure(errors, spec, name=name.upper(), windows=windows)
        self._save(f"rollout/{name}_by_lead_time", figure)

    def _save(self, name: str, figure: Figure) -> None:
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
        self._board.add_image(f"{self.stage}/{name}", pixels, self.step, dataformats="HWC")
        with atomic_file(self.folder / self.stage / f"{name}.png") as path:
            Image.fromarray(pixels).save(path, format="PNG")
