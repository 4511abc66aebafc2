"""Errors of one operator on several grids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.table import Table
from torch import Tensor

from fno_lightning.arguments import plain, require_list, require_mapping
from fno_lightning.callbacks.baselines import ErrorsWithBaselines, log_reduced, log_values_of_targets
from fno_lightning.callbacks.evaluated_weights import take_turn
from fno_lightning.callbacks.forecasting import (
    evaluation_mode,
    field_data,
    forecast_module,
    forecast_trajectories,
    tensorboard_logger,
)
from fno_lightning.data import FieldDataModule
from fno_lightning.files import atomic_file
from fno_lightning.metrics import NRMSE, VRMSE, LogName, MetricFactory
from fno_lightning.metrics.log_name import resolution_group
from fno_lightning.modules import ForecastModule
from fno_lightning.runs import run_folder, run_path

METRICS: Mapping[str, MetricFactory] = {"nrmse": NRMSE, "vrmse": VRMSE}


class ResolutionErrors(Callback):
    """Test an operator on other grids than the one it was trained on, in the same ``test`` run.

    The test split is taken at each resolution from the datamodule's ``at_resolution``: a generated data set is
    simulated there from the same seeds, of stored data every n-th point is used. Log
    ``test/resolution_<64x64>/<metric>`` and the same by field and for both baselines
    (:class:`~fno_lightning.metrics.LogName`), print a table, and write it as ``resolutions.md`` in the folder of the
    run (:func:`~fno_lightning.runs.run_folder`).

    Args:
        resolutions: Grids, points along each axis; the data's own is added.
        metrics: Metrics by log name; ``None``: ``nrmse`` (relative L2) and ``vrmse``.

    Raises:
        ValueError: if there are no resolutions; when testing starts, if the data have no such grid.
    """

    def __init__(
        self, resolutions: Sequence[Sequence[int]], metrics: Mapping[str, MetricFactory] | None = None
    ) -> None:
        require_list(resolutions=resolutions)
        require_list(**{f"resolutions[{i}]": grid for i, grid in enumerate(resolutions)})
        require_mapping(metrics=metrics)
        if len(resolutions) == 0:
            raise ValueError("resolutions is empty, expected at least one grid, e.g. [[128, 128]]")
        self.resolutions = [tuple(plain(grid, "resolutions")) for grid in resolutions]
        self.metrics = METRICS if metrics is None else metrics
        self._data: dict[tuple[int, ...], FieldDataModule] = {}
        self._rows: list[list[str]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Prepare the data at every resolution."""
        if stage != "test":
            return
        run_folder(trainer)
        data = field_data(trainer, self)
        for resolution in sorted({*self.resolutions, data.spec.grid_shape}):
            self._data[resolution] = data.at_resolution(resolution)
            self._data[resolution].prepare_data()

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask to evaluate before other callbacks replace the weights that the test sees."""
        take_turn(trainer, self, "first")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate the test split at every resolution."""
        module = forecast_module(pl_module)
        self._rows = []
        for resolution, data in self._data.items():
            group = resolution_group(resolution)
            values = self._evaluate(trainer, module, data, group)
            log_reduced(module, values)
            errors = (values[str(LogName("test", metric, group=group))] for metric in self.metrics)
            self._rows.append(["x".join(map(str, resolution)), *(f"{error.item():.3g}" for error in errors)])

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print and write the table."""
        self._report(trainer, forecast_module(pl_module))

    def _evaluate(
        self, trainer: Trainer, module: ForecastModule, data: FieldDataModule, group: str
    ) -> dict[str, Tensor]:
        errors = ErrorsWithBaselines(self.metrics, module)
        with evaluation_mode(module):
            for batch, prediction in forecast_trajectories(trainer, module, data.test_dataloader()):
                errors.update(prediction, batch)
        values: dict[str, Tensor] = {}
        for forecaster, by_metric in errors.compute().items():
            for metric, error in by_metric.items():
                values |= log_values_of_targets(error, module, LogName("test", metric, forecaster, group))
        return values

    @rank_zero_only
    def _report(self, trainer: Trainer, module: ForecastModule) -> None:
        trained = "x".join(map(str, module.spec.grid_shape))
        title = f"Test errors on {module.spec.dataset_name} by resolution, trained at {trained}"
        table = Table("resolution", *self.metrics, title=title)
        for row in self._rows:
            table.add_row(*row)
        Console().print(table)
        logger = tensorboard_logger(trainer)
        header = ["resolution", *self.metrics]
        lines = [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *self._rows)]
        text = f"# {title}\n\n" + "\n".join(lines) + "\n"
        if logger is not None:
            logger.experiment.add_text("test/resolutions", text, trainer.global_step)
        if (result := run_path(trainer, "resolutions.md")) is not None:
            with atomic_file(result) as path:
                path.write_text(text, encoding="utf-8")
