"""Lightning's own callbacks and schedules monitor the errors of rollouts, by their names and by those of 0.1."""

import logging
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.cli import ReduceLROnPlateau

from fno_lightning.callbacks import HyperparameterSummary, RolloutEvaluation
from fno_lightning.metrics import VRMSE
from tests.callbacks.waves import WaveData, WaveModule

NAME, OLD_NAME = "val/rollout/vrmse_6-12", "val/rollout/vrmse_6:12"
RENAMED = "is 'val/rollout/vrmse_6:12', which is logged as 'val/rollout/vrmse_6-12' now"


def make_checkpoint(folder, monitor):
    options = {"filename": f"{{{NAME}:.3f}}", "auto_insert_metric_name": False, "save_last": True}
    return ModelCheckpoint(dirpath=folder, monitor=monitor, **options)


def fit(folder, *callbacks, max_epochs=2, monitor=NAME, ckpt_path=None, every_n_epochs=1, **options):
    torch.manual_seed(0)
    data = WaveData()
    module = WaveModule(
        spec=data.spec,
        n_steps_input=2,
        lr_scheduler=lambda optimizer: ReduceLROnPlateau(optimizer, monitor=monitor, patience=0, threshold=1e3),
    )
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[*callbacks, RolloutEvaluation(every_n_epochs, metrics={"vrmse": VRMSE}, n_pictures=0)],
        max_epochs=max_epochs,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **options,
    )
    trainer.fit(module, datamodule=data, ckpt_path=ckpt_path)
    return trainer


def test_a_checkpoint_is_named_by_the_error_that_it_monitors(tmp_path):
    checkpoint = make_checkpoint(tmp_path, NAME)
    trainer = fit(tmp_path, checkpoint, max_epochs=1)
    error = trainer.callback_metrics[NAME]
    assert checkpoint.best_model_score == error
    assert Path(checkpoint.best_model_path) == tmp_path / f"{error:.3f}.ckpt"


def test_the_old_name_still_works_and_warns(tmp_path):
    checkpoint, stopping = make_checkpoint(tmp_path, OLD_NAME), EarlyStopping(OLD_NAME, patience=9)
    with pytest.warns(FutureWarning) as caught:
        trainer = fit(tmp_path, checkpoint, stopping, monitor=OLD_NAME)
    for kind in ("ModelCheckpoint", "EarlyStopping", "ReduceLROnPlateau"):
        assert sum(f"the monitor of {kind} {RENAMED}" in str(warning.message) for warning in caught) == 1
    assert checkpoint.best_model_score == stopping.best_score
    assert checkpoint.best_model_score.isfinite()
    assert trainer.optimizers[0].param_groups[0]["lr"] < 1e-3  # the threshold counts no epoch as an improvement


@pytest.mark.filterwarnings("ignore:Checkpoint directory", "ignore:.*callbacks used to create the checkpoint")
def test_a_training_with_the_old_name_is_continued(tmp_path):
    checkpoint = make_checkpoint(tmp_path, NAME)
    fit(tmp_path, checkpoint)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    (key,) = (key for key in saved["callbacks"] if key.startswith("ModelCheckpoint"))
    state = saved["callbacks"].pop(key) | {"best_model_score": torch.zeros(())}
    saved["callbacks"][key.replace(NAME, OLD_NAME)] = state
    torch.save(saved, tmp_path / "old.ckpt")
    continued = make_checkpoint(tmp_path, NAME)
    fit(tmp_path, continued, ckpt_path=tmp_path / "old.ckpt")
    assert continued.best_model_score == 0


def test_the_summary_of_hyperparameters_takes_the_old_name():
    with pytest.warns(FutureWarning, match=RENAMED):
        assert HyperparameterSummary(["val/loss", OLD_NAME]).metrics == ("val/loss", NAME)


class EvaluatedSteps(Callback):
    """Keeps the steps at which an error of rollouts is new."""

    def __init__(self):
        self.steps, self.error = [], None

    def on_validation_end(self, trainer, module):
        error = trainer.callback_metrics.get(NAME)
        if error is not None and error != self.error:
            self.steps.append(trainer.global_step)
        self.error = error


def regular_checkpoint(folder):
    return ModelCheckpoint(folder, "{step}", NAME, save_top_k=-1, every_n_epochs=2, save_on_train_epoch_end=False)


@pytest.mark.parametrize(
    ("make_callback", "monitor", "options", "expected"),
    [
        (lambda folder: None, "val/loss", {}, [4, 8]),
        (lambda folder: make_checkpoint(folder, NAME), "val/loss", {}, [2, 4, 6, 8]),
        (lambda folder: make_checkpoint(folder, "val/loss"), "val/loss", {}, [2, 4, 6, 8]),
        (lambda folder: EarlyStopping(NAME, patience=9), "val/loss", {}, [2, 4, 6, 8]),
        (lambda folder: EarlyStopping(NAME, patience=9), "val/loss", {"val_check_interval": 0.5}, list(range(1, 9))),
        (lambda folder: None, NAME, {}, [2, 4, 6, 8]),
        (regular_checkpoint, "val/loss", {}, [4, 8]),
        (regular_checkpoint, "val/loss", {"val_check_interval": 0.5}, list(range(1, 9))),
        (regular_checkpoint, "val/loss", {"val_check_interval": 1}, list(range(1, 9))),
    ],
    ids=[
        "nobody",
        "checkpoint",
        "file name",
        "stopping",
        "stopping, two an epoch",
        "schedule",
        "regular",
        "two an epoch",
        "every batch",
    ],
)
def test_what_is_monitored_in_every_validation_is_evaluated_in_every_one(
    tmp_path, make_callback, monitor, options, expected
):
    steps = EvaluatedSteps()
    callbacks = [callback for callback in (make_callback(tmp_path / "saved"), steps) if callback is not None]
    fit(tmp_path, *callbacks, max_epochs=4, monitor=monitor, every_n_epochs=2, **options)
    assert steps.steps == expected


def test_says_why_rollouts_are_evaluated_more_often(tmp_path, caplog):
    logging.getLogger("lightning.pytorch").setLevel(logging.INFO)
    with caplog.at_level(logging.INFO):
        fit(tmp_path, EarlyStopping(NAME, patience=9), make_checkpoint(tmp_path, NAME), every_n_epochs=5)
        fit(tmp_path, EarlyStopping("val/loss", patience=9), monitor="val/loss", every_n_epochs=5)
    said = [message for message in caplog.messages if message.startswith("rollouts are evaluated in every validation")]
    assert said == [
        "rollouts are evaluated in every validation, not only every 5 epochs, because of what the callbacks or "
        f"schedules {names} monitor"
        for names in ("EarlyStopping and ModelCheckpoint", "ReduceLROnPlateau")
    ]


@pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint")
def test_a_resumed_training_evaluates_at_the_epochs_of_one_in_one_go(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path / "first", save_last=True)
    fit(tmp_path, checkpoint, max_epochs=1, monitor="val/loss", every_n_epochs=2)
    regular, steps = regular_checkpoint(tmp_path / "saved"), EvaluatedSteps()
    options = {"monitor": "val/loss", "every_n_epochs": 2, "ckpt_path": checkpoint.last_model_path}
    fit(tmp_path, regular, steps, max_epochs=4, **options)
    assert steps.steps == [4, 8]
    assert {path.name for path in (tmp_path / "saved").iterdir()} == {"step=4.ckpt", "step=8.ckpt"}
