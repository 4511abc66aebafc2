"""Forecasts on disk, in the format of the data they came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter

from fno_lightning.data import Batch, FieldSpec, write_well_file
from fno_lightning.modules import ForecastModule
from fno_lightning.pdes import Trajectories


class PredictionWriter(BasePredictionWriter):
    """Writes what ``predict`` forecasts as files in The Well's format, one for each batch of trajectories.

    A file holds the predicted frames only, in physical units, one scalar field for each component; its time counts from
    the first frame of the history.

    Args:
        folder: Where to write; ``None``: ``predictions`` in the folder of the logs.
    """

    def __init__(self, folder: str | None = None) -> None:
        super().__init__(write_interval="batch")
        self.folder = folder

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Writes one batch of forecasts."""
        if not isinstance(pl_module, ForecastModule):
            raise TypeError(
                f"PredictionWriter writes the forecasts of a ForecastModule, got {type(pl_module).__name__}"
            )
        folder = Path(self.folder or Path(trainer.log_dir or trainer.default_root_dir) / "predictions")
        folder.mkdir(parents=True, exist_ok=True)
        write_well_file(
            folder / f"forecast_{trainer.global_rank:03d}_{batch_idx:05d}.hdf5",
            _as_trajectories(pl_module.spec, batch, prediction),
            dataset_name=pl_module.spec.dataset_name,
            provenance={"source": f"forecast by {type(pl_module).__name__}, from {pl_module.spec.source}"},
        )


def _as_trajectories(spec: FieldSpec, batch: Batch, prediction: torch.Tensor) -> Trajectories:
    n_history, n_steps = batch.history.shape[1], prediction.shape[1]
    grid = prediction.shape[3:]
    axes = spec.axes or tuple("xyz"[: len(grid)])
    extent = spec.extent or ((0.0, 1.0),) * len(grid)
    values = prediction.float().cpu()
    return Trajectories(
        time=(n_history + torch.arange(n_steps)) * (spec.time_step or 1.0),
        coordinates={
            axis: lower + (torch.arange(n) + 0.5) * (upper - lower) / n
            for axis, n, (lower, upper) in zip(axes, grid, extent, strict=True)
        },
        boundaries=dict(zip(axes, spec.boundaries or (("open", "open"),) * len(grid), strict=True)),
        scalars={name: batch.scalars[:, i].float().cpu() for i, name in enumerate(spec.scalars)},
        scalar_fields={name: values[:, :, i] for i, name in enumerate(spec.fields)},
        constant_fields={name: batch.constants[:, i].float().cpu() for i, name in enumerate(spec.constant_fields)},
    )
