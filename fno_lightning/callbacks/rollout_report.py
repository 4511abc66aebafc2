"""What a test says about each trajectory: errors by parameter and lead time, valid time, conservation, the worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from rich.console import Console
from torch import Tensor

from fno_lightning.callbacks.conservation import Drift, conserved_quantities, drift_rows, drift_summary, drifts
from fno_lightning.callbacks.drawn_trajectories import Worst, worst
from fno_lightning.callbacks.forecasting import gathered
from fno_lightning.callbacks.parameter_groups import groups_by_parameter
from fno_lightning.callbacks.parameter_table import ParameterTables
from fno_lightning.callbacks.pictures import Pictures, file_names
from fno_lightning.callbacks.trajectory_errors import TrajectoryErrors, errors_of_trajectories
from fno_lightning.callbacks.trajectory_files import lead_time_rows, rank_rows, trajectory_rows, write_rows
from fno_lightning.data import Batch
from fno_lightning.files import atomic_file
from fno_lightning.metrics import LogName, Ranks
from fno_lightning.metrics.log_name import ROLLOUT, Forecaster, Window
from fno_lightning.modules import ForecastDistribution, ForecastModule
from fno_lightning.runs import run_path
from fno_lightning.viz import Forecast, parameter_figure


class RolloutReport:
    """Report on the forecasts of a test, collected batch by batch.

    It keeps errors of trajectories, not their frames, but for those of the worst. :meth:`finish` gathers what several
    processes have; each trajectory counts once.

    Args:
        module: Author of the forecasts.
        n_worst: Number of worst trajectories to keep for drawing.
        threshold: VRMSE, mean over the fields, up to which a forecast is valid.
    """

    def __init__(self, module: ForecastModule, n_worst: int, threshold: float) -> None:
        self.threshold = threshold
        self._module = module
        self._worst = Worst(n_worst, module.spec)
        self._has_drifts = module.n_steps_input > 0 and bool(conserved_quantities(module.spec))
        self._errors: list[TrajectoryErrors] = []
        self._drifts: list[Drift] = []
        self._ranks = Ranks(module.spec.n_dims).to(module.device) if module.n_forecasts > 1 else None
        self._histogram: Tensor | None = None

    def update(self, forecast: ForecastDistribution, batch: Batch, numbers: Sequence[int]) -> None:
        """Add forecasts of the trajectories with these numbers in their split."""
        errors = errors_of_trajectories(forecast.mean, batch, numbers, self._module)
        self._worst.update(forecast, batch, errors)
        self._errors += errors
        if self._has_drifts:
            self._drifts += drifts(forecast.mean, batch, self._module.spec)
        if self._ranks is not None and forecast.ensemble is not None:
            self._ranks.update(forecast.ensemble, batch.target)

    def finish(self) -> None:
        """Gather the trajectories of all processes, which all must do, in the order of their numbers."""
        by_number = {errors.number: errors for errors in gathered(self._errors)}
        self._errors = [by_number[number] for number in sorted(by_number)]
        self._drifts = gathered(self._drifts)
        self._histogram = None if self._ranks is None else self._ranks.histogram(self._module.n_forecasts)

    def values(self) -> dict[str, Tensor]:
        """Return the log entries: the mean valid time, in steps, of model and persistence."""
        if max(errors.n_steps for errors in self._errors) == 1:
            return {}
        entries = {}
        for forecaster in self._errors[0].means:
            times = [float(errors.valid_time(self.threshold, forecaster)) for errors in self._errors]
            name = LogName("test", "valid_time", forecaster, ROLLOUT)
            entries[str(name)] = torch.tensor(times).mean().to(self._module.device)
        return entries

    def worst_forecasts(self) -> dict[int, Forecast]:
        """Return those of the worst forecasts that were made in this process, by rank; 0 is the worst."""
        return self._worst.forecasts([errors.number for errors in worst(self._errors, self._worst.n_forecasts)])

    def tables(self, windows: Sequence[Window]) -> ParameterTables:
        """Return the errors by parameter over these windows."""
        spec = self._module.spec
        return ParameterTables(groups_by_parameter(self._errors, spec), self._errors, windows, self.threshold, spec)

    def write(
        self, trainer: Trainer, errors: Mapping[Forecaster, Mapping[str, Tensor]], tables: ParameterTables
    ) -> list[Path]:
        """Write the files of the report into the folder of the run, and return their paths.

        Args:
            trainer: The trainer of the test.
            errors: Mean of each metric over the trajectories, ``(time, field)``.
            tables: Errors by parameter.
        """
        origin = [] if trainer.ckpt_path is None else [f"Checkpoint: {trainer.ckpt_path}"]
        texts = {"errors_by_parameter.md": tables.as_markdown([*origin, *self.lines(tables)])}
        rows = {
            "errors_by_lead_time.csv": lead_time_rows(errors, self._module),
            "trajectories.csv": trajectory_rows(self._errors, tables.spans, self.threshold, self._module.spec),
        }
        if self._drifts:
            rows["conservation.csv"] = drift_rows(self._drifts, self._module.spec)
        if self._histogram is not None:
            rows["rank_histogram.csv"] = rank_rows(self._histogram, self._module.spec)
        paths = []
        for name in (*texts, *rows):
            if (path := run_path(trainer, name)) is None:
                continue
            with atomic_file(path) as temporary:
                if name in texts:
                    temporary.write_text(texts[name], encoding="utf-8")
                else:
                    write_rows(temporary, rows[name])
            paths.append(path)
        return paths

    def draw(self, pictures: Pictures, tables: ParameterTables) -> None:
        """Draw the errors against every parameter that is a number."""
        spec, trajectories = self._module.spec, tables.trajectories
        indices = {errors.number: i for i, errors in enumerate(trajectories)}
        windows = {
            name: {
                forecaster: torch.tensor([errors.over(window, forecaster) for errors in trajectories])
                for forecaster in tables.forecasters
            }
            for name, window in tables.spans.items()
        }
        valid_times = {
            forecaster: torch.tensor([float(errors.valid_time(self.threshold, forecaster)) for errors in trajectories])
            * (spec.time_step or 1.0)
            for forecaster in tables.forecasters
        }
        for k, (parameter, file_name) in enumerate(file_names(spec.scalars).items()):
            if parameter in tables.groups:
                make = partial(
                    parameter_figure,
                    parameter,
                    torch.stack([errors.scalars[k] for errors in trajectories]),
                    [[indices[errors.number] for errors in group.trajectories] for group in tables.groups[parameter]],
                    windows,
                    spec,
                    valid_times=valid_times if tables.has_time else None,
                )
                pictures.draw_parameter(file_name, make)

    def lines(self, tables: ParameterTables) -> list[str]:
        """Return what follows from the errors: valid time, where persistence is better, conservation, the worst."""
        lines = []
        if tables.has_time:
            lines.append(self._valid_time())
        lines += tables.losses()
        if summary := drift_summary(self._drifts) if self._drifts else "":
            lines.append(summary)
        (last,) = worst(self._errors, 1)
        scalars = zip(self._module.spec.scalars, last.scalars.tolist(), strict=True)
        text = ", ".join(f"{name} = {value:.4g}" for name, value in scalars)
        named = f"number {last.number}{f' ({text})' if text else ''}"
        lines.append(f"worst trajectory: {named}, VRMSE {last.over(None):.3g} over all steps")
        return lines

    def show(self, tables: ParameterTables, paths: Sequence[Path]) -> None:
        """Print tables, lines and where the files are."""
        console = Console()
        for table in tables.for_terminal():
            console.print(table)
        for line in self.lines(tables):
            console.print(line, soft_wrap=True, highlight=False, markup=False)
        for path in paths:
            console.print(f"report:      {path}", soft_wrap=True, markup=False)

    def _valid_time(self) -> str:
        """Say how long the forecasts are valid, and how many trajectories end before they are not."""
        parts = []
        for forecaster in self._errors[0].means:
            firsts = [errors.first_step_above(self.threshold, forecaster) for errors in self._errors]
            steps = sum(errors.valid_time(self.threshold, forecaster) for errors in self._errors) / len(firsts)
            unit = self._module.spec.time_step
            time = f" (t = {steps * unit:.3g})" if unit else ""
            parts.append(f"{forecaster} {steps:.3g} steps{time}, {firsts.count(None)} of {len(firsts)} never above")
        return (
            f"valid time, the mean first step with VRMSE above {self.threshold:g}, or the full length of trajectories "
            f"that are never above: {'; '.join(parts)}"
        )
