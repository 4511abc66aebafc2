"""All errors of a table belong to the same weights, whatever callbacks replace them in between, and in any order."""

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    RichProgressBar,
    StochasticWeightAveraging,
    TQDMProgressBar,
    WeightAveraging,
)

from fno_lightning.callbacks import OneStepErrors, ResolutionErrors, RolloutEvaluation
from fno_lightning.data import GeneratedDataModule
from fno_lightning.metrics import NRMSE, VRMSE, nrmse, vrmse
from fno_lightning.modules import FNOModule
from fno_lightning.pdes import Poisson
from tests.callbacks.waves import WaveData, make_module, speed_of, trajectory

pytestmark = pytest.mark.filterwarnings(
    "ignore:You're using the WeightAveraging callback with a model that overrides",
    "ignore:You're using the WeightAveraging callback, but",
)


class Scaled(Callback):
    """Replaces the weights while a loop evaluates, in the hooks that run around it."""

    def on_validation_start(self, trainer, module):
        scale(module, 1.5)

    def on_validation_end(self, trainer, module):
        scale(module, 1 / 1.5)

    on_test_start, on_test_end = on_validation_start, on_validation_end


class ScaledInAnEpoch(Callback):
    """Likewise, in the hooks of an epoch."""

    def on_validation_epoch_start(self, trainer, module):
        scale(module, 0.5)

    def on_validation_epoch_end(self, trainer, module):
        scale(module, 2.0)

    on_test_epoch_start, on_test_epoch_end = on_validation_epoch_start, on_validation_epoch_end


class AveragedByEpoch(WeightAveraging):
    """Changes the averages after the last validation of an epoch."""

    def __init__(self):
        super().__init__(use_buffers=False)

    def should_update(self, step_idx=None, epoch_idx=None):
        return epoch_idx is not None


class StopsAfter(Callback):
    """Asks training to stop as EarlyStopping does: after a validation."""

    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def on_validation_end(self, trainer, module):
        trainer.should_stop = trainer.current_epoch + 1 == self.n_epochs


class Recorder(Callback):
    """Keeps the weights that the batches of a validation or a test see."""

    def on_validation_batch_end(self, trainer, module, *_):
        self.weights = {name: value.clone() for name, value in module.state_dict().items()}

    on_test_batch_end = on_validation_batch_end


@torch.no_grad()
def scale(module, factor):
    for parameter in module.parameters():
        parameter.mul_(factor)


def errors_of(weights, stage="val"):
    """Errors of weights, by hand: one step ahead and over whole trajectories."""
    data = WaveData()
    module = make_module(data)
    module.configure_model()
    module.load_state_dict(weights)
    first = {"val": (200, 0), "test": (300, 10)}[stage]
    numbers = (range(first[0], first[0] + 4), range(first[1], first[1] + 3))
    windows, whole = (torch.stack([trajectory(i, data.grid) for i in some]) for some in numbers)
    speeds = (torch.tensor([[speed_of(i)] for i in some]) for some in numbers)
    one_step = module.forecast(windows[:, :2], scalars=next(speeds))
    rollout = module.forecast(whole[:, :2], scalars=next(speeds), n_steps=16)
    return {
        f"{stage}/vrmse": vrmse(one_step, windows[:, 2:3], 2).mean(),
        f"{stage}/nrmse": nrmse(one_step, windows[:, 2:3], 2).mean(),
        f"{stage}/rollout/vrmse": vrmse(rollout, whole[:, 2:18], 2).mean(),
    }


def placed(callbacks, order):
    """Place what evaluates before the callbacks, after them or between them."""
    evaluation = RolloutEvaluation(every_n_epochs=2, metrics={"vrmse": VRMSE}, n_pictures=0)
    before, after = {"first": ([], callbacks), "last": (callbacks, []), "between": (callbacks[:1], callbacks[1:])}[
        order
    ]
    return [*before, evaluation, OneStepErrors({"nrmse": NRMSE}), *after]


def averaging():
    return EMAWeightAveraging(decay=0.5)


@pytest.mark.parametrize("order", ["first", "last", "between"])
@pytest.mark.parametrize(
    "make_callbacks",
    [
        lambda: [averaging()],
        lambda: [Scaled(), averaging()],
        lambda: [ScaledInAnEpoch(), averaging(), Scaled()],
        lambda: [AveragedByEpoch()],
        lambda: [StochasticWeightAveraging(1e-2, swa_epoch_start=1, annealing_epochs=1), Scaled()],
    ],
    ids=["ema", "ema+own", "own+ema+own", "by epoch", "swa"],
)
@pytest.mark.parametrize(
    ("options", "stops_after"),
    [({"max_epochs": 2}, 9), ({"max_epochs": 9}, 3), ({"max_epochs": 4, "check_val_every_n_epoch": 3}, 9)],
    ids=["planned end", "early end", "between validations"],
)
def test_validation_sees_one_set_of_weights(make_trainer, make_callbacks, order, options, stops_after):
    torch.manual_seed(0)
    data, recorder = WaveData(), Recorder()
    callbacks = [*placed(make_callbacks(), order), recorder, StopsAfter(stops_after)]
    trainer = make_trainer(*callbacks, tensorboard=False, **options)
    module = make_module(data)
    module.configure_model()
    trainer.fit(module, datamodule=data)
    for name, error in errors_of(recorder.weights).items():
        torch.testing.assert_close(trainer.callback_metrics[name], error, check_dtype=False)


@pytest.mark.parametrize("order", ["first", "last"])
def test_the_errors_of_averaging_are_those_of_the_averages(make_trainer, order):
    data, average, recorder = WaveData(), averaging(), Recorder()
    module = make_module(data)
    trainer = make_trainer(*placed([average], order), recorder, max_epochs=2, tensorboard=False)
    trainer.fit(module, datamodule=data)
    for weights in (average._average_model.module.state_dict(), module.state_dict()):
        for name, error in errors_of(weights).items():
            torch.testing.assert_close(trainer.callback_metrics[name], error, check_dtype=False)


@pytest.mark.parametrize("order", ["first", "last", "between"])
@pytest.mark.parametrize("stage", ["val", "test"])
def test_validate_and_test_see_one_set_of_weights(make_trainer, order, stage):
    data, recorder = WaveData(), Recorder()
    trainer = make_trainer(*placed([Scaled(), ScaledInAnEpoch()], order), recorder, tensorboard=False)
    run = {"val": trainer.validate, "test": trainer.test}[stage]
    run(make_module(data), datamodule=data, verbose=False)
    for name, error in errors_of(recorder.weights, stage).items():
        torch.testing.assert_close(trainer.callback_metrics[name], error, check_dtype=False)


@pytest.mark.parametrize("order", ["first", "last"])
def test_other_resolutions_are_tested_with_the_same_weights(make_trainer, tmp_path, order):
    data = GeneratedDataModule(
        Poisson(resolution=(32, 32)), str(tmp_path), n_train=2, n_valid=1, n_test=2, n_steps_input=0, batch_size=2
    )
    data.prepare_data()
    module = FNOModule(data.spec, (4, 4), 4, n_layers=1, n_steps_input=0)
    module.fit_normalization(data.statistics)
    callbacks = [ResolutionErrors([(32, 32)], {"vrmse": VRMSE}), ScaledInAnEpoch()][:: 1 if order == "first" else -1]
    trainer = make_trainer(*callbacks, tensorboard=False)
    trainer.test(module, datamodule=data, verbose=False)
    errors = trainer.callback_metrics
    torch.testing.assert_close(errors["test/resolution_32x32/vrmse"], errors["test/vrmse"], check_dtype=False)


class Watcher(Callback):
    """Counts the validations, and what the trainer does in them."""

    def __init__(self):
        self.n_validations = 0

    def on_validation_end(self, trainer, module):
        self.n_validations += not trainer.sanity_checking


def test_a_planned_training_is_not_validated_once_more(make_trainer):
    data, watcher = WaveData(), Watcher()
    trainer = make_trainer(*placed([watcher], "first"), max_epochs=5, num_sanity_val_steps=1, tensorboard=False)
    trainer.fit(make_module(data), datamodule=data)
    assert watcher.n_validations == 5


@pytest.mark.parametrize("kind", [RichProgressBar, TQDMProgressBar])
def test_the_last_validation_saves_and_stops_nothing(make_trainer, tmp_path, kind):
    data = WaveData()
    checkpoint = ModelCheckpoint(tmp_path / "checkpoints", "{step}", "val/vrmse", save_top_k=-1)
    stopping = EarlyStopping("val/vrmse", patience=9)
    callbacks = [*placed([stopping, checkpoint], "last"), kind(), StopsAfter(3)]
    trainer = make_trainer(*callbacks, max_epochs=9, enable_checkpointing=True, enable_progress_bar=True)
    trainer.fit(make_module(data), datamodule=data)
    steps = [f"step={2 * epoch}.ckpt" for epoch in (1, 2, 3)]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == steps
    assert {type(callback) for callback in trainer.callbacks} >= {ModelCheckpoint, EarlyStopping, kind}
    assert trainer.current_epoch == 3
    assert not trainer.validating


def test_trainings_without_validation_are_not_validated_at_their_end(make_trainer):
    data, watcher = WaveData(), Watcher()
    trainer = make_trainer(*placed([watcher], "first"), limit_val_batches=0)
    trainer.fit(make_module(data), datamodule=data)
    assert watcher.n_validations == 0
