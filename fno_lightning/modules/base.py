"""The base class of all LightningModules that forecast fields."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, ClassVar, Literal, Self, get_args

import torch
from lightning.pytorch.callbacks import LearningRateFinder, WeightAveraging
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import MeanMetric

from fno_lightning.arguments import (
    configured_arguments,
    plain_hyperparameters,
    require_list,
    store_hyperparameters,
    with_plain_numbers,
)
from fno_lightning.conformal import ConformalBands
from fno_lightning.data import Batch, FieldDataModule, FieldSpec, point_weight
from fno_lightning.data.shuffling import resume_samples
from fno_lightning.deprecation import renamed_option
from fno_lightning.layers import reduced_modes, restore_modes
from fno_lightning.losses import Loss, LossSum
from fno_lightning.metrics import VRMSE, LogName
from fno_lightning.metrics.log_name import Stage
from fno_lightning.modules.adapters import LowRankAdapters, adapted_state, merged_state
from fno_lightning.modules.certified_range import OffRange
from fno_lightning.modules.checkpointing import ActivationCheckpointing, checkpoint_activations
from fno_lightning.modules.compatibility import (
    check_axes,
    class_path_hparams,
    readable_checkpoint,
    require_same_fields,
    require_same_history,
)
from fno_lightning.modules.ensemble import EnsembleNetwork
from fno_lightning.modules.forecast_distribution import ForecastDistribution
from fno_lightning.modules.initial_weights import (
    NETWORK,
    freeze_parts,
    load_weights,
    read_weights,
    require_same_options,
)
from fno_lightning.modules.lazy_network import SHARDED, require_shared_gradients
from fno_lightning.modules.loaders import ByLoader, evaluated_loaders
from fno_lightning.modules.muon import MuonAdamW
from fno_lightning.modules.normalization import LogScalars, Normalization
from fno_lightning.modules.optimizers import default_optimizer, set_learning_rate
from fno_lightning.modules.patching import MultigridPatching
from fno_lightning.modules.precision import require_precision
from fno_lightning.modules.random_numbers import random_states, restore_random_state, restore_seed
from fno_lightning.modules.resumption import end_resumed_epoch, resume_loops
from fno_lightning.modules.rollout_training import RolloutTraining
from fno_lightning.modules.schedules import Interval, forget_training_lengths, lightning_schedule
from fno_lightning.slabs import whole_grid
from fno_lightning.unrolling import Unrolling

_RUN_TIME_ARGUMENTS = (
    "loss",
    "unrolling",
    "input_noise",
    "optimizer",
    "lr_scheduler",
    "lr_interval",
    "lr_frequency",
    "compile",
    "activation_checkpointing",
    "activations",
    "steps_per_launch",
    "initial_weights",
    "refit_normalization",
    "freeze",
    "adapters",
    "off_range",
)


class ForecastModule(RolloutTraining):
    r"""LightningModule that learns to advance fields by one step, or to solve a steady problem.

    With :math:`\hat u` the normalised fields, the network :math:`G_\theta` sees :math:`n` past frames (time folded into
    the channels, oldest first), the constant fields and one constant plane for each scalar, and

    .. math:: \hat u^{k+1} = G_\theta(\hat u^{k-n+1}, \dots, \hat u^k, c)

    or, with ``residual=True``, :math:`\hat u^{k+1} = \hat u^k + (\sigma_\Delta / \sigma) \, G_\theta(\dots)`. With
    ``bundle=b`` the network predicts :math:`\hat u^{k+1}, \dots, \hat u^{k+b}` at once, and with ``residual`` the
    changes between them. Targets of more steps are reached autoregressively; the loss compares all of them in
    normalised units, unless ``unrolling`` says which in training.

    A subclass defines the network: it stores its arguments and overrides :meth:`build_network`, which is called when
    something first asks for the network, its parameters or its state. Arguments that rebuild the network are
    hyper-parameters and must be plain values; a checkpoint then reloads without data and without
    arguments, and takes and returns physical units. The other arguments (``loss``, ``unrolling``, ``input_noise``,
    ``optimizer``, ``lr_scheduler``, ``lr_interval``, ``lr_frequency``, ``compile``, ``activation_checkpointing``,
    ``initial_weights``, ``refit_normalization``, ``freeze``, ``adapters`` and ``off_range``) are choices of a run and
    are not stored.

    Fields are normalised in their own precision, float64 where the data are, and only then cast to that of the weights.
    Fields that do not vary in the train split are predicted as their mean, and left out of means over the fields.

    Logs ``train/loss`` (with the first and the last batch of an epoch, and every ``log_every_n_steps``: logging takes
    long beside a short step) and with it the terms and the weights of a sum of losses (``train/loss_term/<name>``,
    ``train/loss_weight/<name>``), ``val/loss``, ``val/vrmse`` of the next frame, ``val/vrmse/<field>`` and the same for
    ``test``; over all of a target of several frames as ``val/vrmse_0-16``; of several loaders each with Lightning's
    ending, as in ``val/vrmse/dataloader_idx_0``.

    Args:
        spec: Description of the data set; the command line takes it from the datamodule.
        n_steps_input: Number of past frames that a forecast starts from; 0 for a steady problem. The command line
            takes it from the datamodule.
        bundle: Number of frames that one application of the network predicts (temporal bundling); targets of the
            training must have as many. Fewer applications reach a lead time, and fewer errors add up.
        residual: Predict the change from each frame to the next, in units of its standard deviation, not the frames;
            see docs/accuracy.md for what it does.
        normalization: ``zscore``, or ``source_norm`` for linear steady equations; see
            :class:`~fno_lightning.modules.Normalizer`.
        log_scalars: Which scalars enter the network by their logarithm: those that are positive and span a decade or
            more in the train split (``True``), none (``False``), or those of these names, which must be positive.
        reversible_norm: Show the network each sample in units of its own last frame, with the spatial means and
            deviations beside it, and map its output back; see
            :class:`~fno_lightning.modules.reversible_norm.ReversibleNorm`. For fields whose mean drifts far beside
            their fluctuation, such as a pressure.
        patching: Apply the network to patches of the fields and put its output together, for fields that are too large
            for memory as a whole; see :class:`~fno_lightning.modules.MultigridPatching`. ``None``: to whole fields.
        ensemble_size: Train so many networks at once, as one batched network, each from initial weights of its own
            (deep ensemble); a forecast is their mean, :meth:`forecast_distribution` has the members. ``None``: one.
        mc_dropout: Evaluate the network so many times with dropout, each with masks of its own, which stay the same
            along a rollout; a forecast is their mean. Training, and errors of the next frame, are as without.
            ``None``: dropout is for training alone.
        loss: Compares normalised prediction and target; ``None``: :class:`~fno_lightning.losses.MSE`.
        unrolling: How far the forecasts of the training go, and which part of them has a gradient:
            :class:`~fno_lightning.unrolling.Unrolled`, :class:`~fno_lightning.unrolling.Pushforward`; ``None``: to the
            end of the target, with gradient.
        input_noise: Standard deviation of the Gaussian noise that is added to the histories of the training, in units
            of each field's.
        optimizer: Makes the optimizer from the parameters; ``None``: AdamW, lr 1e-3, weight decay 1e-4, fused where
            there is a fused one.
        lr_scheduler: Makes the schedule from the optimizer; ``None``: constant learning rate. A
            :class:`~fno_lightning.modules.WarmupCosine` or ``OneCycleLR`` without a length lasts as long as the
            training.
        lr_interval: Unit of time of the schedule, ``step`` (of the optimizer) or ``epoch``; ``None``: steps for
            WarmupCosine, OneCycleLR and CyclicLR, epochs for others.
        lr_frequency: Number of these units between two updates; ``None``: one, or for a ReduceLROnPlateau that looks at
            a validation each epoch with a validation.
        compile: Compile the network with ``torch.compile``, in place; a name is its mode.
        activation_checkpointing: What training keeps for the backward pass: ``none``: everything; ``auto``: everything
            but what is as fast evaluated again (tiles of points of an FNO on a CPU); ``full``: only the inputs of each
            block (member of a ModuleList or Sequential, or the whole network), which is evaluated again, at the cost of
            another forward pass; ``offload``: everything, moved from the accelerator to main memory in between.
        initial_weights: Start the training from these weights: a checkpoint, or a file with the state dict of a
            network. Unlike ``fit --ckpt_path``, which continues a training, it takes nothing else over.
        refit_normalization: Take the statistics of the new data although ``initial_weights`` bring a normalisation.
        freeze: Names of parts of the network that are not trained, e.g. ``lifting`` or ``blocks.0``.
        adapters: Train low-rank updates of the layers over the channels, and nothing else, from ``initial_weights`` on;
            see :class:`~fno_lightning.modules.LowRankAdapters`.
        off_range: What a forecast outside the grids, parameters, values and lead times of training and calibration does
            (:class:`~fno_lightning.modules.CertifiedRange`): ``warn``, ``refuse`` or ``ignore``.
        activations: Former name of ``activation_checkpointing`` (``keep``: ``none``; ``recompute``: ``full``).
        steps_per_launch: Former place of ``steps_per_execution``, an argument of
            ``fno_lightning.multistep.MultiStepStrategy``; the command line moves it there.

    Raises:
        ValueError: if the points of the data are not even and the class has ``needs_even_axes``; if ``n_steps_input``
            is negative, or 0 when there is nothing else to predict from; if ``bundle`` is not positive, or
            ``input_noise`` negative, or one of them or ``unrolling`` is given for a steady problem; when training
            starts, if ``initial_weights`` do not fit, ``freeze`` names no part of the network, ``adapters`` have
            nothing to start from, or the targets are shorter than a bundle or the ``unrolling``; when a Trainer starts,
            if its precision cannot hold the fields.
    """

    run_time_arguments: ClassVar[Sequence[str]] = _RUN_TIME_ARGUMENTS
    """Names of arguments that are no hyper-parameters; a subclass adds its own."""

    def __init__(
        self,
        spec: FieldSpec | dict[str, Any],
        n_steps_input: int = 4,
        *,
        bundle: int = 1,
        residual: bool = False,
        normalization: Normalization = "zscore",
        log_scalars: LogScalars = True,
        reversible_norm: bool = False,
        patching: MultigridPatching | None = None,
        ensemble_size: int | None = None,
        mc_dropout: int | None = None,
        loss: Loss | None = None,
        unrolling: Unrolling | None = None,
        input_noise: float = 0.0,
        optimizer: OptimizerCallable | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
        lr_interval: Interval | None = None,
        lr_frequency: int | None = None,
        compile: bool | Literal["default", "reduce-overhead", "max-autotune"] = False,  # noqa: A002 (torch's own name)
        activation_checkpointing: ActivationCheckpointing = "auto",
        initial_weights: str | None = None,
        refit_normalization: bool = False,
        freeze: Sequence[str] = (),
        adapters: LowRankAdapters | None = None,
        off_range: OffRange = "warn",
        activations: Literal["auto", "keep", "recompute", "offload"] | None = None,
        steps_per_launch: int | None = None,
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
            ensemble_size=ensemble_size,
            mc_dropout=mc_dropout,
            off_range=off_range,
            loss=loss,
            unrolling=unrolling,
            input_noise=input_noise,
            **kwargs,
        )
        require_list(freeze=freeze)
        named = {"spec": self.spec.to_dict(), **class_path_hparams(type(self))}
        store_hyperparameters(self, configured_arguments(self, sys._getframe()) | named)
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        if lr_interval not in (None, *get_args(Interval)) or (lr_frequency is not None and lr_frequency < 1):
            raise ValueError(
                "lr_interval is 'step' or 'epoch' and lr_frequency at least 1, got "
                f"lr_interval={lr_interval!r} and lr_frequency={lr_frequency}"
            )
        self.lr_interval: Interval | None = lr_interval
        self.lr_frequency = lr_frequency
        self.lr: float | None = None  # in the place of the optimizer's own; a learning-rate finder sets it
        self.compile_network = compile
        self.activation_checkpointing: ActivationCheckpointing = renamed_option(
            "activation_checkpointing",
            activation_checkpointing,
            "activations",
            activations,
            default="auto",
            translation={"keep": "none", "recompute": "full"},
        )
        self.recompute_patches = self.activation_checkpointing in ("auto", "full")
        if steps_per_launch is not None:
            rank_zero_warn(
                f"steps_per_launch={steps_per_launch} has moved to the trainer: strategy=fno_lightning.multistep."
                f"MultiStepStrategy(steps_per_execution={steps_per_launch}); here it has no effect",
                category=FutureWarning,
            )
        self.initial_weights = initial_weights
        self.refit_normalization = refit_normalization
        self.freeze_parts = freeze
        if adapters is not None and freeze:
            raise ValueError("adapters train nothing but themselves: leave freeze out, adapters.parts chooses layers")
        self.adapters = adapters
        if adapters is not None and self.ensemble_size is not None:
            raise ValueError(
                "adapters do not go with ensemble_size, whose members are one network: leave one of them out"
            )
        self._has_weights = initial_weights is not None
        self._has_started = False
        self._random_state: Mapping[str, Any] | None = None
        self._resumed_metrics: Mapping[str, float] = {}
        self.val_loss, self.test_loss = ByLoader(MeanMetric()), ByLoader(MeanMetric())
        self.val_vrmse, self.test_vrmse = (ByLoader(VRMSE(n_dims=self.spec.n_dims)) for _ in range(2))

    def _set_hparams(self, hp: MutableMapping[str, Any] | Namespace | str) -> None:
        if not isinstance(hp, str):
            hp = plain_hyperparameters(type(self), hp, {FieldSpec: FieldSpec.to_dict, MultigridPatching: asdict})
        super()._set_hparams(hp)

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: str | Path | IO[bytes], *args: Any, **kwargs: Any) -> Self:
        """Load a module, of this class or a subclass, with its weights; see Lightning's method for the arguments.

        Checkpoints of older versions, which name a class by the file that defined it then, are read too.
        """
        try:
            return super().load_from_checkpoint(readable_checkpoint(checkpoint_path), *args, **kwargs)
        except Exception as error:
            error.add_note(f"while loading {checkpoint_path}")
            raise

    # --- training and evaluation -----------------------------------------------------------------------------------

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        self.balanced_training.hold_within_step(self.trainer.global_step)
        loss, _ = self.step(batch)
        self.log_training_loss(loss, len(batch.target), batch_idx)
        return loss

    def log_training_loss(self, loss: Tensor, n_samples: int, batch_idx: int) -> None:
        """Log ``train/loss`` if it is due: where Lightning writes it, and for the progress bar twice an epoch.

        Logging takes long beside a short step.
        """
        trainer = self.trainer
        is_written: bool = trainer._logger_connector.should_update_logs
        if batch_idx == 0 or trainer.is_last_batch or is_written or trainer.fast_dev_run:  # type: ignore[attr-defined]
            options: Any = {"on_step": True, "on_epoch": False, "batch_size": n_samples}
            self.log("train/loss", loss, prog_bar=True, **options)
            if isinstance(self.loss, LossSum):
                self.log_dict({f"train/{name}": value for name, value in self.loss.report().items()}, **options)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Return the loss and the prediction in physical units, for callbacks."""
        return self._evaluation_step(batch, "val", dataloader_idx)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Return the loss and the prediction in physical units, for callbacks."""
        return self._evaluation_step(batch, "test", dataloader_idx)

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor | ForecastDistribution:
        """Return the forecast of every target frame, in physical units, with its uncertainty if there is any."""
        return self.forecast_distribution(batch) if self.has_uncertainty else self.forecast(batch)

    def _evaluation_step(self, batch: Batch, stage: Stage, loader: int) -> dict[str, Tensor]:
        losses, errors = (self.val_loss, self.val_vrmse) if stage == "val" else (self.test_loss, self.test_vrmse)
        mean_loss, vrmse = losses.of(loader), errors.of(loader)
        self.certified_range.check_grid(whole_grid(batch.target.shape[3:]))
        loss, prediction = self.step(batch)
        prediction = self.normalizer.decode(prediction, batch.member, batch.target.dtype)
        frames, target = (self.normalizer.in_spreads(frames, batch.member) for frames in (prediction, batch.target))
        vrmse.update(frames, target, weight=point_weight(batch.constants, self.spec))
        mean_loss.update(loss, weight=len(batch.target))  # processes and batches may differ in their numbers of samples
        options: Any = {"prog_bar": True, "batch_size": len(batch.target)}
        self.log(f"{stage}/loss", mean_loss, metric_attribute=f"{stage}_loss.{loader}", **options)
        return {"loss": loss, "prediction": prediction}

    def on_validation_epoch_end(self) -> None:
        """Log the error over the validation windows."""
        self._log_vrmse("val", self.val_vrmse)

    def on_test_epoch_end(self) -> None:
        """Log the error over the test windows."""
        self._log_vrmse("test", self.test_vrmse)

    def _log_vrmse(self, stage: Stage, errors: ByLoader[VRMSE]) -> None:
        for loader in evaluated_loaders(self.trainer):
            metric = errors.of(loader or 0)
            by_step = metric.compute()
            metric.reset()
            options: Any = {"sync_dist": True, "add_dataloader_idx": False}  # it is a part of the names
            for name, lead_times in LogName(stage, "vrmse", loader=loader).of_targets(len(by_step)):
                by_field = by_step[lead_times].mean(dim=0)
                self.log(str(name), self.normalizer.mean_over_fields(by_field), prog_bar=True, **options)
                names = map(str, name.of_fields(self.spec.fields))
                self.log_dict(dict(zip(names, by_field, strict=True)), **options)

    # --- life cycle --------------------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Check the data against the module and, before the first training, take over their statistics."""
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, FieldDataModule):
            if self.needs_even_axes:
                check_axes(data.spec, self)
            require_same_fields(self.spec, data.spec, "the module")
            require_same_history(self.n_steps_input, data.n_steps_input, "the module")
        if stage == "fit":
            if isinstance(data, FieldDataModule):
                self.training_grids.add(data.train_grids)
                self._require_patches_of(data.train_grids)
            self._n_training_steps = None
            if (n_target := getattr(data, "n_steps_output", None)) is not None:
                self.require_long_targets(n_target)
            self._find_normalization(data)
        if stage != "predict" and isinstance(self.loss, Loss):
            self.loss.take_equation(getattr(data, "equation", None))
        require_precision(str(self.trainer.precision), self.normalizer, self.spec)

    def _require_patches_of(self, grids: Iterable[Sequence[int]]) -> None:
        if self.patching is not None:
            for grid in grids:
                self.patching.axes(grid)  # complains if the patches do not fit

    def _find_normalization(self, data: object) -> None:
        if self.normalizer.is_fitted:
            rank_zero_info("the module keeps the normalisation that it has; fit_normalization() changes it")
        elif isinstance(data, FieldDataModule):
            self.fit_normalization(data.statistics)
        else:
            rank_zero_warn(
                "fields are not normalised, because there is no FieldDataModule to take statistics from: call "
                "module.fit_normalization(statistics) before training"
            )

    def on_fit_start(self) -> None:
        """Load the initial weights, once, and not if a training is resumed; apply a rate that a finder has set."""
        if any(isinstance(callback, LearningRateFinder) for callback in self.trainer.callbacks):  # type: ignore[attr-defined]
            self.trainer.strategy.setup_optimizers(self.trainer)
        require_shared_gradients(self)
        if self.adapters is not None:
            self._require_adaptable()
        self._note_trajectories()
        if self.initial_weights is None or self._has_started:
            return
        state, saved, kept_modes = read_weights(self.initial_weights)
        state = adapted_state(self.network, state, {}, NETWORK)
        state, saved = self.adapted_weights(state, saved)
        self._require_compatible(saved)
        require_same_options(saved, dict(self.hparams), refit_normalization=self.refit_normalization)
        load_weights(self, state, with_normalization=not self.refit_normalization)
        if kept_modes:
            restore_modes(self.network, kept_modes)
        self._has_started = True
        rank_zero_info(f"starting from the weights in {self.initial_weights}")

    def _require_adaptable(self) -> None:
        if not self._has_weights:
            raise ValueError(
                "adapters adapt weights that are trained already: give initial_weights the checkpoint of a training"
            )
        if isinstance(self.trainer.strategy, SHARDED):
            raise ValueError("adapters go with strategies that keep the network whole: use ddp")
        if any(isinstance(callback, WeightAveraging) for callback in self.trainer.callbacks):  # type: ignore[attr-defined]
            raise ValueError("adapters do not go with averaged weights: leave out the callback WeightAveraging")

    def _note_trajectories(self) -> None:
        """Note what the training sees, which a calibration may not use; bands of other weights are none of these."""
        if self.bands is not None:
            rank_zero_warn("training changes the weights: the calibrated bands are dropped, calibrate again afterwards")
            self.bands = None
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, FieldDataModule) and self.trainer.is_global_zero and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            beginnings = data.beginnings("train")
            if beginnings is not None:
                self.certified_range.add_trajectories(beginnings)

    def on_train_epoch_end(self) -> None:
        """Gather what the processes have seen of the data."""
        self.certified_range.gather()
        end_resumed_epoch(self.trainer)

    def adapted_weights(
        self, state: dict[str, Tensor], saved: dict[str, Any]
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the state of ``initial_weights``, and the options saved with it, as this class takes them over."""
        return state, saved

    def on_train_start(self) -> None:
        """Let the loss leave out fields that do not vary, of statistics known by now; take up the random numbers."""
        self._leave_out_constant_fields()
        self.balanced_training.start(self.loss, self.network, self.trainer)
        resume_loops(self.trainer, self._resumed_metrics)
        resume_samples(self.trainer)
        if self._random_state is not None:
            restore_random_state(self._random_state)
            self._random_state = None

    def on_validation_start(self) -> None:
        """Do as before a training."""
        self._leave_out_constant_fields()

    def on_test_start(self) -> None:
        """Do as before a training."""
        self._leave_out_constant_fields()

    def _leave_out_constant_fields(self) -> None:
        if isinstance(self.loss, Loss):
            self.loss.leave_out(self.normalizer.field_varies.tolist())

    def prepare_network(self, network: nn.Module) -> None:
        """Freeze the parts of a new network that are not trained, and choose what it keeps for the backward pass."""
        freeze_parts(network.members if isinstance(network, EnsembleNetwork) else network, self.freeze_parts)
        if self.adapters is not None:
            self.adapters.add_to(network)
        checkpoint_activations(network, self.activation_checkpointing)

    def configure_model(self) -> None:
        """Build the network, and compile it if asked to, both once."""
        super().configure_model()
        if self.compile_network and self.network._compiled_call_impl is None:  # which a copy of a module lacks
            self.network.compile(mode=None if self.compile_network is True else self.compile_network)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer and, if there is one, its schedule."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        if self.optimizer is None:
            optimizer: torch.optim.Optimizer = default_optimizer(
                trained, str(getattr(self._trainer, "precision", "32-true"))
            )
        else:
            optimizer = self.optimizer(trained)
        if self.ensemble_size is not None and isinstance(optimizer, MuonAdamW):
            raise ValueError(
                "MuonAdamW tells matrices by their two axes, but the weights of an ensemble have one more: use AdamW "
                "with ensemble_size"
            )
        set_learning_rate(optimizer, self.lr)
        if self.lr_scheduler is None:
            return optimizer
        schedule = lightning_schedule(
            self.lr_scheduler,
            optimizer,
            self._count_training_steps,
            self.lr_interval,
            self.lr_frequency,
            check_val_every_n_epoch=getattr(self._trainer, "check_val_every_n_epoch", None) or 1,
            rate=self.lr,
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the range of the training, bands, modes in use and random state; keep out the numbers of NumPy."""
        checkpoint["training_grids"] = self.training_grids.to_plain()
        checkpoint["certified_range"] = self.certified_range.to_plain()
        checkpoint["bands"] = None if self.bands is None else self.bands.to_plain()
        checkpoint["random_state"] = random_states()
        if self._trainer is not None:  # schedules that follow an error look at it after the checkpoint is saved
            metrics = self._trainer.callback_metrics
            checkpoint["callback_metrics"] = {name: value.item() for name, value in metrics.items()}
        if reduced := reduced_modes(self.network):
            checkpoint["kept_modes"] = reduced
        if self.adapters is not None and "state_dict" in checkpoint:
            checkpoint["state_dict"], checkpoint["adapters"] = merged_state(
                self.network, checkpoint["state_dict"], NETWORK
            )
        checkpoint.update(with_plain_numbers(checkpoint))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint whose fields or history are not this module's, and use the modes that it used."""
        self._require_compatible(checkpoint.get("hyper_parameters", {}))
        self._has_weights = True
        if self.adapters is not None and "state_dict" in checkpoint:
            checkpoint["state_dict"] = adapted_state(
                self.network, checkpoint["state_dict"], checkpoint.get("adapters") or {}, NETWORK
            )
        if self.is_built or "kept_modes" in checkpoint:
            restore_modes(self.network, checkpoint.get("kept_modes") or {})
        self.training_grids.add(_training_grids(checkpoint))
        self.certified_range.add_plain(checkpoint.get("certified_range") or {})
        bands = checkpoint.get("bands")
        self.bands = None if bands is None else ConformalBands.from_plain(bands)
        forget_training_lengths(checkpoint)
        is_training = self._trainer is not None and self._trainer.state.fn is TrainerFn.FITTING
        self._has_started |= is_training and checkpoint.get("global_step", 1) > 0  # at 0 it is a tuner's
        if is_training:
            self._resumed_metrics = checkpoint.get("callback_metrics", {})
        if is_training and (state := checkpoint.get("random_state")):
            restore_seed(state)
            self._random_state = state

    def _require_compatible(self, saved: Mapping[str, Any]) -> None:
        if "spec" in saved:
            require_same_fields(FieldSpec.from_dict(saved["spec"]), self.spec, "the checkpoint")
            require_same_history(saved["n_steps_input"], self.n_steps_input, "the checkpoint")


def _training_grids(checkpoint: Mapping[str, Any]) -> Sequence[Sequence[int]]:
    """Return the grids of a checkpoint's training; of one of an earlier version, the grid of its data."""
    spec = checkpoint.get("hyper_parameters", {}).get("spec")
    grids: Sequence[Sequence[int]] | None = checkpoint.get("training_grids")
    return grids if grids is not None else [spec["grid_shape"]] if spec else []
