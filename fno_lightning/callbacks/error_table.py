"""Table of the errors of a test or a validation."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.table import Table

from fno_lightning.arguments import require_list
from fno_lightning.callbacks.forecasting import forecast_module, tensorboard_logger
from fno_lightning.data import FieldSpec
from fno_lightning.files import atomic_file
from fno_lightning.metrics import LogName
from fno_lightning.metrics.log_name import BASELINES, ROLLOUT, Forecaster, Stage, format_window
from fno_lightning.modules import ForecastModule
from fno_lightning.runs import run_folder, run_path

Errors: TypeAlias = Mapping[LogName, float]


class ErrorTable(Callback):
    """Print the errors of a test or a validation as one table: model and baselines, one step ahead and in rollouts.

    The errors are those that the module, :class:`~fno_lightning.callbacks.OneStepErrors` and
    :class:`~fno_lightning.callbacks.RolloutEvaluation` have logged. Table and files name the checkpoint that the errors
    belong to, its step and epoch, and the ``config.yaml`` of its training, if there is one.

    Two files stand in the folder of the run (:func:`~fno_lightning.runs.run_folder`): ``errors.md``, with a table for
    each field, and ``errors.json``, with the keys ``checkpoint``, ``step``, ``epoch``, ``config`` and ``errors``: every
    error that was logged, by its :class:`~fno_lightning.metrics.LogName` without the stage, ``null`` where it is
    infinite. TensorBoard shows the table as text.

    A test on the command line shows the other best checkpoints beside the one that it is asked for: those in its folder
    whose names begin with ``best``.

    Args:
        metrics: Metrics by log name; each has a column for one step and one for each rollout window.

    Attributes:
        others: Errors of other checkpoints, by the name of their rows.
    """

    def __init__(self, metrics: Sequence[str] = ("vrmse", "nrmse")) -> None:
        require_list(metrics=metrics)
        self.metrics = tuple(metrics)
        self.others: dict[str, Errors] = {}
        self._step: int | None = None
        self._epoch: int | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forget the checkpoint of an earlier run; without one, the weights are those that this trainer has made."""
        if stage in ("validate", "test"):
            run_folder(trainer)
        self._step, self._epoch = (trainer.global_step, trainer.current_epoch) if trainer.global_step else (None, None)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the step and the epoch of the checkpoint."""
        self._step, self._epoch = checkpoint["global_step"], checkpoint["epoch"]

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print and write the table."""
        self._report(trainer, pl_module, "test")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print and write the table, unless the validation is part of a training."""
        if trainer.state.fn is TrainerFn.VALIDATING:
            self._report(trainer, pl_module, "val")

    @rank_zero_only
    def _report(self, trainer: Trainer, pl_module: LightningModule, stage: Stage) -> None:
        module = forecast_module(pl_module)
        spec = module.spec
        errors = logged_errors(trainer, stage)
        columns = _columns(errors, self.metrics, stage)
        folder = run_folder(trainer)
        origin = _Origin.of(trainer.ckpt_path, folder, self._step, self._epoch)
        console = Console()
        shown = _Shown(errors, self.others, Path(origin.checkpoint).name if origin.checkpoint else None)
        console.print(_for_terminal(spec, stage, columns, shown, _left_out(module)))
        for label, text in origin.described().items():
            console.print(f"{label + ':':<13}{text}", soft_wrap=True)
        markdown = _as_markdown(spec, stage, columns, shown, origin, _left_out(module))
        for name, text in {"errors.md": markdown, "errors.json": _as_json(stage, errors, origin)}.items():
            if (path := run_path(trainer, name)) is not None:
                with atomic_file(path) as temporary:
                    temporary.write_text(text, encoding="utf-8")
        if (path := run_path(trainer, "errors.md")) is not None:
            console.print(f"errors:      {path}", soft_wrap=True)
        if (pictures := run_path(trainer, "pictures")) is not None and (pictures / stage).exists():
            console.print(f"pictures:    {pictures / stage}", soft_wrap=True)
        if (logger := tensorboard_logger(trainer)) is not None:
            logger.experiment.add_text(f"{stage}/errors", markdown, origin.step or 0)
            console.print(f"TensorBoard: tensorboard --logdir {logger.root_dir}", soft_wrap=True)


def logged_errors(trainer: Trainer, stage: Stage) -> Errors:
    """Return the errors that a trainer has logged in a test or a validation."""
    logged = {LogName.parse(name): float(value) for name, value in trainer.callback_metrics.items()}
    return {name: value for name, value in logged.items() if name is not None and name.stage == stage}


class _Shown(NamedTuple):
    """Errors of a table: of the checkpoint that is tested, and of others beside it."""

    errors: Errors
    others: Mapping[str, Errors]
    checkpoint: str | None

    def rows(self) -> Iterator[tuple[str, Forecaster, Errors]]:
        """Yield the label of each row, its forecaster, and the errors that it is taken from."""
        yield self.checkpoint if self.others and self.checkpoint else "model", "model", self.errors
        for other, errors in self.others.items():
            yield other, "model", errors
        for baseline in BASELINES:
            yield baseline, baseline, self.errors


class _Origin(NamedTuple):
    """Weights and configuration that errors belong to."""

    checkpoint: str | None
    step: int | None
    epoch: int | None
    config: str | None

    @classmethod
    def of(cls, checkpoint: Any, folder: Path | None, step: int | None, epoch: int | None) -> _Origin:
        """Find the configuration: that of the run that the checkpoint lies in, else that of this one."""
        folders = [] if checkpoint is None else list(Path(checkpoint).parents)[:2]
        folders += [] if folder is None else [folder]
        configs = (str(place / "config.yaml") for place in folders if (place / "config.yaml").is_file())
        return cls(None if checkpoint is None else str(checkpoint), step, epoch, next(configs, None))

    def described(self) -> dict[str, str]:
        """Return the known parts as text, by label."""
        weights = self.checkpoint or "none, the module in memory"
        counts = {"step": self.step, "epoch": self.epoch}
        known = (f"{name} {count}" for name, count in counts.items() if count is not None)
        lines = {"checkpoint": ", ".join((weights, *known))}
        return lines if self.config is None else {**lines, "config": self.config}


class _Column(NamedTuple):
    name: LogName
    """Name of the model's error; the mean over the fields."""

    @property
    def header(self) -> tuple[str, str]:
        metric, window, loader = self.name.metric, self.name.window, self.name.loader
        horizon = "one step" if window is None else format_window(window)
        if window is not None and self.name.group != ROLLOUT:
            horizon = f"target {horizon}"
        return (
            metric.upper() if "rmse" in metric else metric,
            horizon if loader is None else f"{horizon}, loader {loader}",
        )


def _columns(errors: Errors, metrics: Sequence[str], stage: Stage) -> list[_Column]:
    """Return a column for each metric and horizon, and each of several loaders, that was logged for the model."""
    loaders = sorted({name.loader for name in errors if name.loader is not None})
    of_targets, of_rollouts = (
        sorted({name.window for name in errors if name.window is not None and name.group == group})
        for group in ("", ROLLOUT)
    )
    of_targets = [] if of_rollouts else of_targets  # the next step and rollouts say more
    names = []
    for metric in metrics:
        for loader in (None, *loaders):
            names += [LogName(stage, metric, window=window, loader=loader) for window in (None, *of_targets)]
        names += [LogName(stage, metric, group=ROLLOUT, window=window) for window in of_rollouts]
    return [_Column(name) for name in names if name in errors]


def _rows(columns: Sequence[_Column], shown: _Shown, field: str | None) -> list[list[str]]:
    """Return a row of cells for each forecaster that was logged."""
    rows = []
    for label, forecaster, errors in shown.rows():
        values = [errors.get(replace(column.name, forecaster=forecaster, field=field)) for column in columns]
        if any(value is not None for value in values):
            rows.append([label, *("" if value is None else f"{value:.3g}" for value in values)])
    return rows


def _title(spec: FieldSpec, stage: Stage) -> str:
    return f"{'Test' if stage == 'test' else 'Validation'} errors on {spec.dataset_name}"


def _left_out(module: ForecastModule) -> str:
    """Name the fields that means over the fields leave out."""
    varies = module.normalizer.varying_fields.tolist()
    still = [name for name, does in zip(module.spec.fields, varies, strict=True) if not does]
    return f"; without {', '.join(still)}, which do not vary in the train split" if still else ""


def _for_terminal(spec: FieldSpec, stage: Stage, columns: Sequence[_Column], shown: _Shown, left_out: str) -> Table:
    caption = f"mean over samples, fields and lead times{left_out}"
    table = Table(title=f"{_title(spec, stage)}\n{spec.source}", caption=caption)
    table.add_column(no_wrap=True)
    for column in columns:
        table.add_column("\n".join(column.header), justify="right")
    for row in _rows(columns, shown, field=None):
        table.add_row(*row)
    return table


def _as_markdown(
    spec: FieldSpec, stage: Stage, columns: Sequence[_Column], shown: _Shown, origin: _Origin, left_out: str
) -> str:
    lines = [f"# {_title(spec, stage)}", "", f"Data: {spec.source}."]
    for label, text in origin.described().items():
        lines += ["", f"{label.capitalize()}: {text}"]
    for field in (None, *spec.fields):
        header = ["", *(" ".join(column.header) for column in columns)]
        rule = ["---", *("---:" for _ in columns)]
        lines += ["", f"## {field or f'Mean over fields{left_out}'}", ""]
        lines += [f"| {' | '.join(cells)} |" for cells in (header, rule, *_rows(columns, shown, field))]
    return "\n".join(lines) + "\n"


def _as_json(stage: Stage, errors: Errors, origin: _Origin) -> str:
    by_name = {str(name).removeprefix(f"{stage}/"): value for name, value in errors.items()}
    finite = {name: value if math.isfinite(value) else None for name, value in by_name.items()}
    return json.dumps(origin._asdict() | {"errors": finite}, indent=2, sort_keys=True, allow_nan=False) + "\n"
