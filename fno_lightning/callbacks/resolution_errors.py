"""Errors of one operator on several grids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only
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
from fno_lightning.callbacks.pictures import Pictures
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
    (:class:`~fno_lightning.metrics.LogName`), print a table with the ratio of the first metric to that on the data's
    own grid, and write it as ``resolutions.md`` in the folder of the run (:func:`~fno_lightning.runs.run_folder`), with
    the picture ``test/resolutions.png``. Grids that the module was trained on are marked.

    An error against data that are simulated on a coarse grid holds what that grid does to the simulation, too.

    Args:
        resolutions: Grids, points along each axis; the data's own is added. ``None``: half and twice the points of the
            data's grid, each if the data can be had there.
        metrics: Metrics by log name; ``None``: ``nrmse`` (relative L2) and ``vrmse``.

    Raises:
        ValueError: if there are no resolutions; when testing starts, if the data have no such grid.
    """

    def __init__(
        self, resolutions: Sequence[Sequence[int]] | None = None, metrics: Mapping[str, MetricFactory] | None = None
    ) -> None:
        require_list(resolutions=resolutions)
        require_list(**{f"resolutions[{i}]": grid for i, grid in enumerate(resolutions or ())})
        require_mapping(metrics=metrics)
        if resolutions is not None and len(resolutions) == 0:
            raise ValueError("resolutions is empty, expected at least one grid, e.g. [[128, 128]]")
        self.resolutions: list[tuple[int, ...]] | None = None
        if resolutions is not None:
            self.resolutions = [tuple(plain(grid, "resolutions")) for grid in resolutions]
        self.metrics = METRICS if metrics is None else metrics
        self._data: dict[tuple[int, ...], FieldDataModule] = {}
        self._errors: dict[tuple[int, ...], dict[str, float]] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Prepare the data at every resolution."""
        if stage != "test":
            return
        run_folder(trainer)
        data = field_data(trainer, self)
        self._data = _half_and_twice(data) if self.resolutions is None else _on_grids(data, self.resolutions)
        for on_grid in self._data.values():
            on_grid.prepare_data()

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask to evaluate before other callbacks replace the weights that the test sees."""
        take_turn(trainer, self, "first")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate the test split at every resolution."""
        module = forecast_module(pl_module)
        self._errors = {}
        for resolution, data in self._data.items():
            group = resolution_group(resolution)
            with module.certified_range.quiet():
                values = self._evaluate(trainer, module, data, group)
            log_reduced(module, values)
            names = {metric: str(LogName("test", metric, group=group)) for metric in self.metrics}
            self._errors[resolution] = {metric: values[name].item() for metric, name in names.items()}

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print and write the table, and draw it."""
        self._report(trainer, forecast_module(pl_module))

    def _evaluate(
        self, trainer: Trainer, module: ForecastModule, data: FieldDataModule, group: str
    ) -> dict[str, Tensor]:
        errors = ErrorsWithBaselines(self.metrics, module)
        with evaluation_mode(module):
            for batch, forecast in forecast_trajectories(trainer, module, data.test_dataloader()):
                errors.update(forecast.mean, batch)
        values: dict[str, Tensor] = {}
        for forecaster, by_metric in errors.compute().items():
            for metric, error in by_metric.items():
                values |= log_values_of_targets(error, module, LogName("test", metric, forecaster, group))
        return values

    @rank_zero_only
    def _report(self, trainer: Trainer, module: ForecastModule) -> None:
        own = field_data(trainer, self).spec.grid_shape
        trained = module.training_grids.seen or {module.spec.grid_shape}
        grids = ", ".join(map(_text, sorted(trained)))
        title = f"Test errors on {module.spec.dataset_name} by resolution, trained at {grids}"
        first = next(iter(self.metrics))
        header = ["resolution", *self.metrics, f"{first} over that at {_text(own)}", "trained"]
        rows = [
            [
                _text(grid),
                *(f"{error:.3g}" for error in errors.values()),
                f"{errors[first] / self._errors[own][first]:.2f}" if self._errors[own][first] else "",
                "yes" if grid in trained else "no",
            ]
            for grid, errors in self._errors.items()
        ]
        table = Table(*header, title=title)
        for row in rows:
            table.add_row(*row)
        Console().print(table)
        logger = tensorboard_logger(trainer)
        lines = [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
        text = f"# {title}\n\n" + "\n".join(lines) + "\n"
        if logger is not None:
            logger.experiment.add_text("test/resolutions", text, trainer.global_step)
        if (result := run_path(trainer, "resolutions.md")) is not None:
            with atomic_file(result) as path:
                path.write_text(text, encoding="utf-8")
            pictures = Pictures(result.parent, logger, "test", trainer.global_step)
            pictures.draw_resolutions(self._errors, trained, module.spec)


def _on_grids(data: FieldDataModule, resolutions: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], FieldDataModule]:
    """Return the data on their own and on other grids, from coarse to fine."""
    return {grid: data.at_resolution(grid) for grid in sorted({*resolutions, data.spec.grid_shape})}


def _half_and_twice(data: FieldDataModule) -> dict[tuple[int, ...], FieldDataModule]:
    """Return the data on their own grid, and on half and twice its points where they can be had there."""
    own = data.spec.grid_shape
    found = {own: data}
    for grid in (tuple(max(n // 2, 1) for n in own), tuple(2 * n for n in own)):
        try:
            found[grid] = data.at_resolution(grid)
        except ValueError as error:
            rank_zero_info(f"ResolutionErrors leaves out {_text(grid)}: {error}")
    return dict(sorted(found.items()))


def _text(grid: Sequence[int]) -> str:
    return "x".join(map(str, grid))
