"""Calibration of the bands of a trained module."""

from __future__ import annotations

from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from fno_lightning.callbacks.forecasting import (
    evaluation_mode,
    field_data,
    forecast_module,
    forecast_trajectories,
    gathered,
)
from fno_lightning.checkpoints import read_checkpoint
from fno_lightning.conformal import ConformalScores, require_coverage
from fno_lightning.data import Batch
from fno_lightning.data.batch import Split
from fno_lightning.files import atomic_file, unused_path
from fno_lightning.modules import ForecastModule
from fno_lightning.modules.certified_range import fingerprint
from fno_lightning.slabs import active_slabs


class ConformalCalibration(Callback):
    """Calibrate bands around the forecasts of a trained module, by ``validate``.

    The whole trajectories of a split that the weights were not trained on are forecast, and the module gets a factor
    for each lead time and field, by which its scale of the error (the spread of an ensemble or of dropout, a predicted
    quantile, or for a single network the standard deviation of the field) becomes a band with a guarantee:
    :mod:`fno_lightning.conformal`. A validation of a checkpoint writes it again, with bands and the lead times that
    they hold for, as ``calibrated-<name>.ckpt`` beside it; ``test`` of that measures the coverage and draws the bands,
    and ``predict`` writes them. Further training drops the bands.

    The guarantee needs trajectories that are exchangeable with those to come, and that the weights do not know. A
    checkpoint that was chosen by its error on the same split knows them a little: choose by ``valid`` and calibrate on
    trajectories of their own where it matters. Trajectories of the training are refused.

    Args:
        coverage: The coverage asked for, such as 0.9.
        share: Share of the points of a field that is within the band with that probability, up to 1 for all;
            ``None``: the coverage is that share, on average.
        split: Split that calibrates, ``valid`` or ``test``.
        max_steps: Longest lead time; ``None``: to the end of the trajectories.

    Raises:
        ValueError: if a number is out of range, or ``split`` is that of the training; at the end of the validation, if
            there are too few trajectories, or some that the module was trained on.
    """

    def __init__(
        self,
        coverage: float = 0.9,
        share: float | None = None,
        split: Split = "valid",
        max_steps: int | None = None,
    ) -> None:
        require_coverage(coverage, share)
        if split == "train":
            raise ValueError(
                f"split is {split!r}, but bands are calibrated on trajectories that the network was not trained on: "
                "'valid' or 'test'"
            )
        if max_steps is not None and max_steps < 1:
            raise ValueError(f"max_steps is {max_steps}, expected at least 1, or null")
        self.coverage = coverage
        self.share = share
        self.split: Split = split
        self.max_steps = max_steps

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that there are forecasts and trajectories, and prepare those of another split."""
        if stage == "validate":
            forecast_module(pl_module)
            data = field_data(trainer, self)
            if self.split == "test":
                data.setup("test")

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Calibrate, unless the validation is a part of a training."""
        if trainer.state.fn is not TrainerFn.VALIDATING:
            return
        if active_slabs() is not None:
            raise ValueError(
                f"ConformalCalibration scores whole fields, which {type(trainer.strategy).__name__} splits: use ddp or "
                "one device"
            )
        module = forecast_module(pl_module)
        scores, known = self._scores(trainer, module)
        if trained := [number for number, is_known in gathered(known) if is_known]:
            raise ValueError(
                f"ConformalCalibration: {len(trained)} trajectories of the split {self.split!r}, number "
                f"{', '.join(map(str, trained[:5]))}{' and so on' if len(trained) > 5 else ''}, are among those that "
                "the module was trained on, whose errors say nothing of new ones: calibrate on other data"
            )
        (first, *others) = gathered([scores])
        bands = first.merge(others).bands()
        module.bands = bands
        module.certified_range.n_steps = bands.n_steps
        if bands.n_steps < len(bands.factor):
            rank_zero_warn(
                f"the bands are infinite from step {bands.n_steps + 1} of {len(bands.factor)} on, where too many "
                f"forecasts diverge or only {int(bands.n_trajectories.min())} trajectories are left"
            )
        rank_zero_info(
            f"calibrated on {int(bands.n_trajectories[0])} trajectories of the split {self.split!r}, up to step "
            f"{bands.n_steps}: the bands hold {bands.meaning}, at each lead time in each field"
        )
        self._write(trainer, module)

    def _scores(self, trainer: Trainer, module: ForecastModule) -> tuple[ConformalScores, list[tuple[int, bool]]]:
        """Forecast the trajectories; return their scores, and the number of each with whether the training saw it."""
        data = field_data(trainer, self)
        scores = ConformalScores(self.coverage, self.share)
        known: list[tuple[int, bool]] = []
        trained = trainer.strategy.broadcast(module.certified_range.trajectories)
        numbers = data.own_rollout_batches(self.split)
        module.bands = None
        with evaluation_mode(module), module.certified_range.quiet():
            loader = data.rollout_dataloader(self.split)
            for k, (batch, forecast) in enumerate(forecast_trajectories(trainer, module, loader, self.max_steps)):
                known += [
                    (number, fingerprint(Batch(*(part[i] for part in batch))) in trained)
                    for i, number in enumerate(numbers[k])
                ]
                scale = module.error_scale(forecast, batch.member)
                scores.update(forecast.mean, scale, batch.target)
        return scores, known

    def _write(self, trainer: Trainer, module: ForecastModule) -> None:
        """Write the checkpoint again, with the bands; a module without one is saved by ``trainer.save_checkpoint``."""
        if trainer.ckpt_path is None:
            return
        calibrated: dict[str, object] = {}
        module.on_save_checkpoint(calibrated)  # in all processes
        if not trainer.is_global_zero:
            return
        path = Path(trainer.ckpt_path)
        checkpoint = read_checkpoint(path)
        with atomic_file(written := unused_path(path.with_name(f"calibrated-{path.name}"))) as temporary:
            torch.save(checkpoint | calibrated, temporary)
        rank_zero_info(f"the checkpoint with bands is {written}")
