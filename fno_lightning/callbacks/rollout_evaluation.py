"""Errors, pictures and divergence of forecasts of whole trajectories."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torchmetrics import SumMetric

from fno_lightning.arguments import require_list, require_mapping
from fno_lightning.callbacks.baselines import ErrorsWithBaselines, log_reduced, log_values
from fno_lightning.callbacks.drawn_trajectories import EvenlySpaced
from fno_lightning.callbacks.evaluated_weights import take_turn, validate_at_the_end
from fno_lightning.callbacks.evaluation_schedule import EvaluationSchedule
from fno_lightning.callbacks.forecasting import (
    evaluation_mode,
    field_data,
    forecast_module,
    forecast_trajectories,
    is_first_of_group,
    on_whole_fields,
    report_divergence,
    tensorboard_logger,
)
from fno_lightning.callbacks.old_names import rename_monitors, rename_states
from fno_lightning.callbacks.parameter_table import ParameterTables
from fno_lightning.callbacks.pictures import Pictures
from fno_lightning.callbacks.rollout_report import RolloutReport
from fno_lightning.callbacks.uncertainty_errors import UncertaintyErrors
from fno_lightning.data.batch import Split
from fno_lightning.metrics import STANDARD_METRICS, LogName, MetricFactory
from fno_lightning.metrics.log_name import ROLLOUT, Forecaster, Stage, Window
from fno_lightning.modules import ForecastModule
from fno_lightning.runs import run_folder, run_path
from fno_lightning.slabs import whole_fields


class RolloutEvaluation(Callback):
    """Forecast whole trajectories autoregressively, every few epochs, at the end of training and in test.

    Log each metric over windows of lead time, for the model and for both baselines, averaged and by field:
    ``val/rollout/vrmse_6-12``, ``val/rollout/vrmse_6-12/<field>``, ``val/rollout/persistence/vrmse_6-12``, and so on
    (:class:`~fno_lightning.metrics.LogName`); over the whole trajectory ``val/rollout/vrmse``; and the share of
    trajectories that diverged ``val/rollout/diverged``. The same with ``test``. A window is a slice of the predicted
    frames, as in The Well: ``(6, 12)`` averages the 7th to the 12th. Errors of diverged trajectories are infinite;
    training goes on, and a warning says which diverged and at which step.

    Of a module with members (``ensemble_size``, ``mc_dropout``) ``crps`` (fair), ``spread`` and ``spread_skill`` are
    logged likewise, and of a calibrated one ``coverage``, the share of the points within its bands
    (:class:`~fno_lightning.callbacks.ConformalCalibration`); the pictures show spread and bands.

    Process zero draws some of its trajectories: every field over time beside the reference, spectra, the first metric
    against lead time, and at the end of training and in test an animation of the first field. The pictures are in the
    folder ``pictures`` of the run (:func:`~fno_lightning.runs.run_folder`) and, if it is a logger, in TensorBoard. One
    that cannot be drawn is missing, and a warning says why.

    A test reports on each trajectory, printed and in the folder of the run: ``errors_by_parameter.md``, VRMSE over the
    windows against each scalar parameter, beside persistence; ``errors_by_lead_time.csv``, every metric;
    ``trajectories.csv``, errors and valid time of each trajectory; where the data have such fields,
    ``conservation.csv``, the drift of mass, momentum and energy. The mean valid time, the first step with a VRMSE above
    a threshold, is logged as ``test/rollout/valid_time``; trajectories that stay below it count as their full length.
    The worst trajectories are drawn by the process that forecasts them.

    Where fields are split over processes, so are the forecasts; those that are drawn, and all of a test that reports,
    are gathered on each process.

    The weights are those that the rest of the validation or test sees, averaged ones if a callback puts them in place,
    wherever it stands in the list of callbacks. A training that stops between two evaluations or early ends with one
    more validation, of the weights that the module is left with.

    Args:
        every_n_epochs: Epochs between two evaluations in training; where an epoch has several validations, its last one
            evaluates. Every validation evaluates if a callback or a schedule monitors one of these errors, unless it is
            a ModelCheckpoint with a multiple of these epochs as its own ``every_n_epochs``.
        windows: First frame, and frame after the last, of each window; those longer than the trajectories are left out.
        metrics: Metrics by log name; ``None``: :data:`~fno_lightning.metrics.STANDARD_METRICS`.
        n_pictures: Number of trajectories to draw, evenly spaced over the split; 0: none.
        animation: Write animations.
        max_steps: Longest forecast; ``None``: to the end of the trajectories.
        n_worst: Number of trajectories with the largest errors to draw in a test beside the others, unless there are
            no pictures at all.
        valid_time_threshold: VRMSE, mean over the fields that vary, up to which a forecast is valid; 1 is that of the
            spatial mean.

    Attributes:
        writes_report: Whether a test prints and writes its report; valid times are logged anyway.

    Raises:
        ValueError: if a number is out of range, or a window or ``metrics`` is empty.
        TypeError: when training starts, if module or data are not of this package's base classes.
    """

    def __init__(
        self,
        every_n_epochs: int = 1,
        windows: Sequence[Window] = ((6, 12), (13, 30)),
        metrics: Mapping[str, MetricFactory] | None = None,
        n_pictures: int = 1,
        animation: bool = True,
        max_steps: int | None = None,
        n_worst: int = 1,
        valid_time_threshold: float = 1.0,
    ) -> None:
        if n_worst < 0 or not valid_time_threshold > 0:
            raise ValueError(
                f"n_worst must be at least 0 and valid_time_threshold above 0, got {n_worst} and {valid_time_threshold}"
            )
        if every_n_epochs < 1 or n_pictures < 0 or (max_steps is not None and max_steps < 1):
            raise ValueError(
                "every_n_epochs and max_steps must be at least 1 and n_pictures at least 0, got "
                f"{every_n_epochs}, {max_steps} and {n_pictures}"
            )
        require_list(windows=windows)
        require_list(**{f"windows[{i}]": window for i, window in enumerate(windows)})
        require_mapping(metrics=metrics)
        if metrics is not None and not metrics:
            raise ValueError("metrics is empty: name at least one, or leave it out for all of them")
        if empty := [window for window in windows if not 0 <= window[0] < window[1]]:
            raise ValueError(f"a window is (first, after the last) with 0 <= first < after the last, got {empty}")
        self.every_n_epochs = every_n_epochs
        self.windows = tuple((first, last) for first, last in windows)
        self.metrics = STANDARD_METRICS if metrics is None else metrics
        self.n_pictures = n_pictures
        self.animation = animation
        self.max_steps = max_steps
        self.n_worst = n_worst
        self.valid_time_threshold = valid_time_threshold
        self.writes_report = True
        self._to_be_shown: tuple[RolloutReport, ParameterTables, list[Path]] | None = None
        self._schedule = EvaluationSchedule(every_n_epochs)
        self._is_animated = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that there are forecasts and trajectories to evaluate."""
        if stage == "predict":
            return
        if self.n_pictures or (stage == "test" and self.writes_report):
            run_folder(trainer)
        forecast_module(pl_module)
        field_data(trainer, self)
        callbacks = getattr(trainer, "callbacks", [])
        rename_monitors(callbacks)
        if stage == "fit":
            self._schedule = EvaluationSchedule(self.every_n_epochs)
            self._schedule.serve(trainer, callbacks)
            take_turn(trainer, self, "last")

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Read the names of version 0.1."""
        rename_states(checkpoint)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the names of version 0.1."""
        rename_monitors(trainer.lr_scheduler_configs)
        self._schedule.serve(trainer, trainer.lr_scheduler_configs)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count epochs and steps from here, also when training is resumed."""
        self._schedule.start(trainer)
        self._is_animated = False

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask to evaluate before other callbacks replace the weights that the validation sees."""
        take_turn(trainer, self, "first")

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate the validation trajectories, if an evaluation is due."""
        take_turn(trainer, self, "last")
        if trainer.state.fn is TrainerFn.VALIDATING:
            log_reduced(pl_module, self._evaluate(trainer, pl_module, "valid", is_last=True))
        elif not trainer.sanity_checking and self._schedule.is_due(trainer):
            self._schedule.evaluated(trainer)
            log_reduced(pl_module, self._evaluate(trainer, pl_module, "valid", self._schedule.is_last(trainer)))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate once more, if training stopped between two evaluations or early."""
        lacks_animation = self._draws_animation and not self._is_animated
        if trainer.enable_validation and (self._schedule.has_trained_since(trainer) or lacks_animation):
            self._schedule.has_ended = True
            validate_at_the_end(trainer)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask to evaluate before other callbacks replace the weights that the test sees."""
        take_turn(trainer, self, "first")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate the test trajectories."""
        log_reduced(pl_module, self._evaluate(trainer, pl_module, "test", is_last=True))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the report, when no progress bar is in its way."""
        if self._to_be_shown is not None:
            report, tables, paths = self._to_be_shown
            self._to_be_shown = None
            report.show(tables, paths)

    def _evaluate(self, trainer: Trainer, pl_module: LightningModule, split: Split, is_last: bool) -> dict[str, Tensor]:
        """Forecast the trajectories of a split, draw some, and return the log entries."""
        begin = time.perf_counter()
        module = forecast_module(pl_module)
        stage: Stage = "val" if split == "valid" else "test"
        report = RolloutReport(module, self._n_worst, self.valid_time_threshold) if split == "test" else None
        with_baselines, of_uncertainty = ErrorsWithBaselines(self.metrics, module), UncertaintyErrors(module)
        n_forecast, n_diverged = (SumMetric().to(module.device) for _ in range(2))
        with evaluation_mode(module):
            data = field_data(trainer, self)
            loader, numbers = data.rollout_dataloader(split), data.own_rollout_batches(split)
            drawn = EvenlySpaced(self.n_pictures, len(loader), module.spec)
            for k, (batch, forecast) in enumerate(forecast_trajectories(trainer, module, loader, self.max_steps)):
                with_baselines.update(forecast.mean, batch)
                of_uncertainty.update(forecast, batch)
                diverged = report_divergence(forecast.mean, batch, module.spec, numbers[k])
                n_forecast.update(len(batch.target) * is_first_of_group())
                n_diverged.update(diverged * is_first_of_group())
                if report is None and not drawn.draws(k):
                    continue
                shown, shown_forecast = on_whole_fields(batch, forecast)
                with whole_fields():
                    drawn.update(k, shown_forecast, shown)
                    if report is not None:
                        report.update(shown_forecast, shown, numbers[k])
        errors = with_baselines.compute()
        errors["model"] |= of_uncertainty.compute()
        total, n_bad = n_forecast.compute(), n_diverged.compute()
        rank_zero_info(f"forecast {total:.0f} {split} trajectories in {time.perf_counter() - begin:.1f} s")
        n_steps = max(len(error) for by_metric in errors.values() for error in by_metric.values())
        if trainer.state.fn is TrainerFn.FITTING:
            module.certified_range.add_lead_times(n_steps)
        windows = self._windows_within(n_steps)
        animation = is_last and self._draws_animation
        pictures = self._pictures(trainer, stage)
        if pictures is not None and trainer.is_global_zero:
            pictures.draw_forecasts(drawn.forecasts, animation=animation)
            name = next(iter(self.metrics))
            by_forecaster = {forecaster: by_metric[name] for forecaster, by_metric in errors.items()}
            if n_steps > 1:
                pictures.draw_errors(by_forecaster, module.spec, name, windows)
        self._is_animated |= animation
        values = _values(errors, module, windows, stage)
        if report is not None:
            report.finish()
            values |= report.values()
            self._report(trainer, report, errors, windows, pictures)
        return values | {str(LogName(stage, "diverged", group=ROLLOUT)): n_bad / total}

    def _pictures(self, trainer: Trainer, stage: Stage) -> Pictures | None:
        """Return where to draw, in every process: in the folder of process zero, whose logger it is too."""
        if not self.n_pictures:
            return None
        folder = run_path(trainer, "pictures") if trainer.is_global_zero else None
        if stage == "test":
            folder = trainer.strategy.broadcast(folder)  # other processes draw the worst trajectories that are theirs
        return None if folder is None else Pictures(folder, tensorboard_logger(trainer), stage, trainer.global_step)

    def _report(
        self,
        trainer: Trainer,
        report: RolloutReport,
        errors: Mapping[Forecaster, Mapping[str, Tensor]],
        windows: Sequence[Window],
        pictures: Pictures | None,
    ) -> None:
        """Draw and write what a test says about each trajectory, and keep what is to be printed at its end."""
        if not self.writes_report:
            return
        if pictures is not None and is_first_of_group():
            pictures.draw_worst(report.worst_forecasts(), animation=self.animation)
        if trainer.is_global_zero:
            tables = report.tables(windows)
            if pictures is not None:
                report.draw(pictures, tables)
            self._to_be_shown = report, tables, report.write(trainer, errors, tables)

    @property
    def _n_worst(self) -> int:
        return self.n_worst if self.writes_report and self.n_pictures else 0

    @property
    def _draws_animation(self) -> bool:
        return self.animation and self.n_pictures > 0

    def _windows_within(self, n_steps: int) -> list[Window]:
        """Return the windows that a forecast of this length reaches, and log the others."""
        too_long = [window for window in self.windows if window[1] > n_steps]
        if too_long and n_steps > 1:
            rank_zero_info(
                f"rollout windows {too_long} are left out: the trajectories have {n_steps} frames to predict"
            )
        return [window for window in self.windows if window[1] <= n_steps]


def _values(
    errors: Mapping[Forecaster, Mapping[str, Tensor]], module: ForecastModule, windows: Sequence[Window], stage: Stage
) -> dict[str, Tensor]:
    """Return each error over the whole forecast and over each window."""
    values: dict[str, Tensor] = {}
    for forecaster, by_metric in errors.items():
        for metric, error in by_metric.items():
            for window in (None, *windows):
                shown = error if window is None else error[slice(*window)]
                values |= log_values(shown, module, LogName(stage, metric, forecaster, ROLLOUT, window))
    return values
