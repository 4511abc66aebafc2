"""The loss of a batch: forecasts of its target, unrolled as far as the training has come."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from fno_lightning.data import Batch, FieldSpec, SuperBatches, point_weight
from fno_lightning.losses import MSE, Comparison, Loss
from fno_lightning.modules.balanced_training import BalancedTraining, with_state_of_loss
from fno_lightning.modules.field_forecaster import FieldForecaster, repeated
from fno_lightning.modules.normalization import LogScalars, Normalization
from fno_lightning.modules.patching import MultigridPatching
from fno_lightning.unrolling import Unrolling


class RolloutTraining(FieldForecaster):
    """The part of a :class:`~fno_lightning.modules.ForecastModule` that turns a batch into a loss.

    Args:
        spec: Description of the data set.
        n_steps_input: Number of past frames that a forecast starts from.
        bundle: Number of frames that one application of the network predicts.
        residual: Predict changes, not frames.
        normalization: See :class:`~fno_lightning.modules.Normalizer`.
        log_scalars: Which scalars enter by their logarithm, see :class:`~fno_lightning.modules.Normalizer`.
        reversible_norm: Whether the network sees each sample in units of its own last frame.
        patching: Whether, and into which patches, fields are cut for the network.
        loss: Compares normalised prediction and target; ``None``: :class:`~fno_lightning.losses.MSE`.
        unrolling: How far the forecasts of the training go; ``None``: to the end of the target.
        input_noise: Standard deviation of the noise on the histories of the training, in units of each field's.
        **kwargs: Options of the uncertainty, see :class:`~fno_lightning.modules.ForecastModule`, and of Lightning's
            module.

    Raises:
        ValueError: if ``input_noise`` is negative, or it or ``unrolling`` is given without a history; if the loss needs
            something that the fields do not have.
    """

    def __init__(
        self,
        spec: FieldSpec | dict[str, Any],
        n_steps_input: int,
        *,
        bundle: int,
        residual: bool,
        normalization: Normalization,
        log_scalars: LogScalars,
        reversible_norm: bool,
        patching: MultigridPatching | Mapping[str, Any] | None,
        loss: Loss | None,
        unrolling: Unrolling | None,
        input_noise: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            spec,
            n_steps_input,
            bundle=bundle,
            residual=residual,
            normalization=normalization,
            log_scalars=log_scalars,
            reversible_norm=reversible_norm,
            patching=patching,
            **kwargs,
        )
        if not 0 <= input_noise < float("inf"):
            raise ValueError(f"input_noise is a standard deviation, at least 0, got {input_noise}")
        if self.n_steps_input == 0 and (input_noise > 0 or unrolling is not None):
            raise ValueError("input_noise and unrolling need a history, but n_steps_input is 0: leave them out")
        self.loss: Loss | nn.Module = loss or MSE()
        if isinstance(self.loss, Loss):  # and not a module of torch, which compares as well
            self.loss.bind(self.spec)
        if self.spec.is_irregular and not (isinstance(self.loss, Loss) and self.loss.weighs_points):
            raise ValueError(
                f"{type(self.loss).__name__} compares fields on grids, but {self.spec.dataset_name!r} has irregular "
                "points, whose weights a loss must respect: use MSE, RMSE, VRMSE, MeanFluctuation, RelativeL2 or Lp"
            )
        self.balanced_training = BalancedTraining()
        self.unrolling = unrolling
        self.input_noise = input_noise
        self._n_training_steps: float | None = None

    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch and its normalised prediction ``(batch, time, field, *grid)``.

        The prediction is that of the whole target, and in training of the frames that ``unrolling`` compares with it.
        Of an ensemble the loss is the mean over the members, each with forecasts of its own, and the prediction their
        mean.
        """
        n_steps, n_without_gradient, noise = batch.target.shape[1], 0, 0.0
        if self.training:
            self.certified_range.add(batch)
            n_steps, n_without_gradient = self._unrolled(n_steps)
            noise = self.input_noise
        if (size := self.ensemble_size) is not None:
            batch = Batch(*(repeated(part, size) for part in batch))
        prediction = self._advance(*batch[:3], batch.member, n_steps, n_without_gradient, noise)
        first = n_without_gradient * self.bundle
        if first > 0:
            before = self.normalizer.decode(prediction[:, :first].detach(), batch.member, batch.history.dtype)
            batch = batch._replace(history=torch.cat((batch.history, before), dim=1)[:, -self.n_steps_input :])
        prediction, target = prediction[:, first:n_steps], batch.target[:, first:n_steps]
        loss = self._compare(prediction, batch._replace(target=target))
        return loss, prediction if size is None else torch.unflatten(prediction, 0, (size, -1)).mean(dim=0)

    def _compare(self, prediction: Tensor, batch: Batch) -> Tensor:
        """Return the loss of normalised predictions of a batch's target."""

        @cache  # the losses of a sum ask one after the other
        def in_units(units: str) -> tuple[Tensor, Tensor]:
            target, member = batch.target, batch.member
            if units == "normalized":
                encoded = self.normalizer.encode(target, member)
                return prediction, encoded.to(torch.promote_types(self._precision, torch.float32))
            frames = self.normalizer.decode(prediction, member, target.dtype)
            if units == "spreads":
                return self.normalizer.in_spreads(frames, member), self.normalizer.in_spreads(target, member)
            return frames, target

        if isinstance(self.loss, Loss):
            weight = point_weight(batch.constants, self.spec)
            return self.loss.compare(Comparison(in_units, batch.history, batch.constants, batch.scalars, weight))
        loss: Tensor = self.loss(*in_units("normalized"))
        return loss

    def require_long_targets(self, n_target: int) -> None:
        """Check that targets hold the frames that training predicts.

        Raises:
            ValueError: if they do not.
        """
        longest = 1 if self.unrolling is None else self.unrolling.longest or 1
        if n_target < longest * self.bundle:
            steps, choice = "", "a smaller bundle"
            if self.unrolling is not None:
                steps, choice = (
                    f" times the {longest} steps of {type(self.unrolling).__name__}",
                    f"{choice} or unrolling",
                )
            raise ValueError(
                f"training compares bundle={self.bundle} frames{steps}, but a target has {n_target}: set "
                f"data.init_args.n_steps_output to {longest * self.bundle} or more, or choose {choice}"
            )

    def _unrolled(self, n_target: int) -> tuple[int, int]:
        """Return how many frames to predict, and the number of first applications without gradient."""
        self.require_long_targets(n_target)
        if self.unrolling is None:
            return n_target, 0
        step = self.trainer.global_step
        draw = Random(f"{os.environ.get('PL_GLOBAL_SEED', 0)} {step}").random()
        horizon = self.unrolling.horizon(n_target // self.bundle, step / self._training_length, draw)
        return horizon.n_applications * self.bundle, horizon.n_without_gradient

    @property
    def _training_length(self) -> float:
        """Number of optimizer steps of the training, which unrolling follows."""
        if self._n_training_steps is None:
            self._n_training_steps = max(1.0, self._count_training_steps())
        if self._n_training_steps == float("inf"):
            raise ValueError(
                "unrolling follows the progress of the training, but nothing says when it ends: set trainer.max_epochs "
                "or trainer.max_steps"
            )
        return self._n_training_steps

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        with_state_of_loss(self.loss, state_dict, f"{prefix}loss.")
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _count_training_steps(self) -> float:
        """Return the number of optimizer steps of the training; infinitely many if nothing ends it."""
        strategy = self.trainer.strategy
        if isinstance(strategy, SuperBatches):
            return strategy.count_training_steps()
        return self.trainer.estimated_stepping_batches
