"""Forecasts as files in The Well's format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from fno_lightning.callbacks.forecasting import forecast_module
from fno_lightning.data import Batch, FieldSpec, point_weight, write_well_file
from fno_lightning.files import PathText, expanded_path, unused_path
from fno_lightning.modules import ForecastDistribution
from fno_lightning.pdes import Trajectories
from fno_lightning.runs import run_folder
from fno_lightning.viz.axes import boundaries


class PredictionWriter(BasePredictionWriter):
    """Write the forecasts of ``predict`` as files in The Well's format, one for each trajectory.

    ``forecast_<i>.hdf5`` holds trajectory i of the predicted data set, whatever the number of processes; those of
    several loaders lie in ``dataloader_idx_0``, ``dataloader_idx_1`` and so on. It has
    the predicted frames only, in physical units, one scalar field for each component; its time counts from the first
    frame of the history. Its coordinates are the centres of equal cells between the edges of the domain, along uneven
    axes those of the data; its attribute ``coordinates`` says so. Irregular points have their positions among the
    fields without time dependence, and padding is left out.

    Of a module with members (``ensemble_size``, ``mc_dropout``) there is ``<field>_spread`` beside each field, and of a
    calibrated one (:class:`~fno_lightning.callbacks.ConformalCalibration`) ``<field>_lower`` and ``<field>_upper``, the
    edges of the band, infinite where nothing is known; the attribute ``bands`` says what it holds.

    Forecasts of different weights never lie in one folder, and the end of ``predict`` says where they are.

    Args:
        folder: Folder of the files; ``None``: ``predictions`` in the run's folder
            (:func:`~fno_lightning.runs.run_folder`), ``predictions-v1`` if there is such a folder, and so on; a
            ``fast_dev_run`` then writes nothing.

    Raises:
        TypeError: when prediction starts, if the module is not a :class:`~fno_lightning.modules.ForecastModule`.
        FileExistsError: when prediction starts, if ``folder`` holds forecasts already.
        ValueError: if the loader does not give the indices of its trajectories.
    """

    def __init__(self, folder: PathText | None = None) -> None:
        super().__init__(write_interval="batch")
        self.folder = None if folder is None else expanded_path(folder, "folder of PredictionWriter")
        self._folder: Path | None = None

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the folder, the same for all processes, which may have unequal numbers of batches later."""
        forecast_module(pl_module)
        run = run_folder(trainer)
        chosen: tuple[Path | None, bool] = None, False
        if trainer.is_global_zero:
            folder = self.folder if self.folder is not None or run is None else unused_path(run / "predictions")
            chosen = (folder, folder is not None and any(folder.glob("forecast_*.hdf5")))
        self._folder, has_forecasts = trainer.strategy.broadcast(chosen)
        if has_forecasts:
            raise FileExistsError(
                f"the folder {self._folder} of PredictionWriter holds forecasts already, perhaps of other weights: "
                "choose another folder, or move them away"
            )
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say where the forecasts are."""
        kept = "not kept in a fast_dev_run" if self._folder is None else f"in {self._folder}"
        rank_zero_info(f"the forecasts are {kept}")

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Tensor | ForecastDistribution,
        batch_indices: Sequence[int] | None,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write the forecasts of a batch."""
        if self._folder is None:
            return
        module = forecast_module(pl_module)
        spec = module.spec
        forecast = prediction if isinstance(prediction, ForecastDistribution) else ForecastDistribution(prediction)
        if batch_indices is None or len(batch_indices) != len(forecast.mean):
            raise ValueError(
                f"PredictionWriter names files by the indices of the trajectories, but the loader gave {batch_indices} "
                f"for a batch of {len(forecast.mean)}: predict with a DataLoader over a data set that has indices"
            )
        has_several = isinstance(trainer.num_predict_batches, list) and len(trainer.num_predict_batches) > 1
        folder = self._folder / f"dataloader_idx_{dataloader_idx}" if has_several else self._folder
        for i, index in enumerate(batch_indices):
            write_well_file(
                folder / f"forecast_{index:05d}.hdf5",
                _as_trajectory(spec, batch, forecast, i),
                dataset_name=spec.dataset_name,
                provenance={
                    "source": f"forecast by {type(pl_module).__name__}, from {spec.source}",
                    "coordinates": _coordinates_text(spec, forecast.mean.shape[3:]),
                }
                | ({} if module.bands is None else {"bands": module.bands.meaning}),
                must_be_finite=False,
            )


def _coordinates_text(spec: FieldSpec, grid: Sequence[int]) -> str:
    """Say where the coordinates are from."""
    if spec.is_irregular:
        return f"none of the points' numbers; their positions are the fields {', '.join(spec.positions)}"
    own = zip(spec.axis_names, spec.coordinates, grid, strict=False)
    uneven = [axis for axis, points, n in own if len(points) == n]
    exception = f", along {' and '.join(uneven)} the points of the data" if uneven else ""
    return f"centres of equal cells between the edges of the domain{exception}"


def _as_trajectory(spec: FieldSpec, batch: Batch, forecast: ForecastDistribution, index: int) -> Trajectories:
    """Return one trajectory of a batch."""

    def own(part: Tensor) -> Tensor:
        return part[index : index + 1].to(torch.promote_types(part.dtype, torch.float32)).cpu()

    n_history, n_steps = batch.history.shape[1], forecast.mean.shape[1]
    axes = spec.axis_names
    constants, scalars = own(batch.constants), own(batch.scalars)
    parts = {"": forecast.mean, "_spread": forecast.spread, "_lower": forecast.lower, "_upper": forecast.upper}
    values = {ending: own(part) for ending, part in parts.items() if part is not None}
    weight = point_weight(constants, spec)
    if weight is not None:
        is_point = weight[0] > 0
        values = {ending: part[..., is_point] for ending, part in values.items()}
        constants = constants[..., is_point]
    grid = values[""].shape[3:]
    return Trajectories(
        time=(n_history + torch.arange(n_steps)) * (spec.time_step or 1.0),
        coordinates={
            axis: torch.tensor(points, dtype=torch.float64)
            for axis, points in zip(axes, spec.points(grid), strict=True)
        },
        boundaries=dict(zip(axes, boundaries(spec), strict=True)),
        scalars={name: scalars[:, i] for i, name in enumerate(spec.scalars)},
        scalar_fields={
            name + ending: part[:, :, i] for ending, part in values.items() for i, name in enumerate(spec.fields)
        },
        constant_fields={name: constants[:, i] for i, name in enumerate(spec.constant_fields)},
    )
