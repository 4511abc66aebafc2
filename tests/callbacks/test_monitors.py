"""Lightning's own callbacks and schedules monitor the errors of rollouts, by their names and by those of 0.1."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
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


def fit(folder, *callbacks, max_epochs=2, monitor=NAME, ckpt_path=None):
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
        callbacks=[*callbacks, RolloutEvaluation(metrics={"vrmse": VRMSE}, n_pictures=0)],
        max_epochs=max_epochs,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
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
