"""Forecasts as files in The Well's format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from fno_lightning.callbacks.forecasting import forecast_module
from fno_lightning.data import Batch, FieldSpec, write_well_file
from fno_lightning.pdes import Trajectories
from fno_lightning.viz.axes import axis_names, boundaries


class PredictionWriter(BasePredictionWriter):
    """Write the forecasts of ``predict`` as files in The Well's format, one for each trajectory.

    ``forecast_<i>.hdf5`` holds trajectory i of the predicted data set, whatever the number of processes; those of
    several loaders lie in ``dataloader_idx_0``, ``dataloader_idx_1`` and so on. It has
    the predicted frames only, in physical units, one scalar field for each component; its time counts from the first
    frame of the history. Its coordinates are the centres of equal cells between the edges of the domain, also where the
    data's own are not uniform; its attribute ``coordinates`` says so.

    Args:
        folder: Folder of the files; ``None``: ``predictions`` in the folder of the logs.

    Raises:
        TypeError: when prediction starts, if the module is not a :class:`~fno_lightning.modules.ForecastModule`.
        ValueError: if the loader does not give the indices of its trajectories.
    """

    def __init__(self, folder: str | None = None) -> None:
        super().__init__(write_interval="batch")
        self.folder = folder
        self._folder = Path()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the folder, the same for all processes, which may have unequal numbers of batches later."""
        forecast_module(pl_module)
        logs = trainer.log_dir or trainer.default_root_dir
        self._folder = Path(self.folder or Path(logs) / "predictions")
        self._folder.mkdir(parents=True, exist_ok=True)

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Tensor,
        batch_indices: Sequence[int] | None,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write the forecasts of a batch."""
        spec = forecast_module(pl_module).spec
        if batch_indices is None or len(batch_indices) != len(prediction):
            raise ValueError(
                f"PredictionWriter names files by the indices of the trajectories, but the loader gave {batch_indices} "
                f"for a batch of {len(prediction)}: predict with a DataLoader over a data set that has indices"
            )
        has_several = isinstance(trainer.num_predict_batches, list) and len(trainer.num_predict_batches) > 1
        folder = self._folder / f"dataloader_idx_{dataloader_idx}" if has_several else self._folder
        for i, index in enumerate(batch_indices):
            write_well_file(
                folder / f"forecast_{index:05d}.hdf5",
                _as_trajectory(spec, batch, prediction, i),
                dataset_name=spec.dataset_name,
                provenance={
                    "source": f"forecast by {type(pl_module).__name__}, from {spec.source}",
                    "coordinates": "centres of equal cells between the edges of the domain",
                },
            )


def _as_trajectory(spec: FieldSpec, batch: Batch, prediction: Tensor, index: int) -> Trajectories:
    """Return one trajectory of a batch."""
    n_history, n_steps = batch.history.shape[1], prediction.shape[1]
    grid = prediction.shape[3:]
    axes = axis_names(spec)
    extent = spec.extent or ((0.0, 1.0),) * len(grid)
    values, constants, scalars = (part[index : index + 1].float().cpu() for part in (prediction, *batch[1:3]))
    return Trajectories(
        time=(n_history + torch.arange(n_steps)) * (spec.time_step or 1.0),
        coordinates={
            axis: lower + (torch.arange(n) + 0.5) * (upper - lower) / n
            for axis, n, (lower, upper) in zip(axes, grid, extent, strict=True)
        },
        boundaries=dict(zip(axes, boundaries(spec), strict=True)),
        scalars={name: scalars[:, i] for i, name in enumerate(spec.scalars)},
        scalar_fields={name: values[:, :, i] for i, name in enumerate(spec.fields)},
        constant_fields={name: constants[:, i] for i, name in enumerate(spec.constant_fields)},
    )
