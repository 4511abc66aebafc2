"""Errors of several loaders are those of each by itself, under names that end in the number of the loader."""

import json

import pytest
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch.utils.data import DataLoader

from fno_lightning.callbacks import (
    ErrorTable,
    HyperparameterSummary,
    OneStepErrors,
    PredictionWriter,
    RolloutEvaluation,
)
from fno_lightning.data import collate
from fno_lightning.metrics import NRMSE, VRMSE, LogName
from tests.callbacks.waves import WaveData, WaveWindows, make_module

ENDING = "/dataloader_idx_{}"


def loader(first, n_samples):
    return DataLoader(WaveWindows(range(first, first + n_samples), (8, 6), 2, 2, 1), batch_size=2, collate_fn=collate)


class TwoLoaders(WaveData):
    """Validates, tests and predicts with two loaders of unequal length."""

    def val_dataloader(self):
        return [loader(200, 5), loader(300, 2)]

    test_dataloader = predict_dataloader = val_dataloader


def callbacks():
    return OneStepErrors({"nrmse": NRMSE}), RolloutEvaluation(metrics={"vrmse": VRMSE}, n_pictures=0)


@pytest.fixture
def module():
    data = WaveData()
    module = make_module(data)
    module.fit_normalization(data.statistics)
    return module


@pytest.mark.parametrize("stage", ["val", "test"])
def test_errors_are_those_of_each_loader(make_trainer, module, stage):
    def run(data):
        trainer = make_trainer(*callbacks(), tensorboard=False)
        ({"val": trainer.validate, "test": trainer.test}[stage])(module, datamodule=data, verbose=False)
        return {name: value.item() for name, value in trainer.callback_metrics.items()}

    both = run(TwoLoaders())
    alone = []
    for number in range(2):
        data = WaveData()
        one = TwoLoaders().val_dataloader()[number]
        data.val_dataloader = data.test_dataloader = lambda one=one: one
        alone.append(run(data))
    rollouts = {name for name in alone[0] if "/rollout/" in name}
    assert {f"{stage}/loss", f"{stage}/vrmse/height", f"{stage}/persistence/nrmse"} <= alone[0].keys() - rollouts
    ended = {name + ENDING.format(i): alone[i][name] for i in range(2) for name in alone[i].keys() - rollouts}
    assert both == pytest.approx(ended | {name: alone[0][name] for name in rollouts})
    assert all(str(LogName.parse(name)) == name for name in both)


def test_callbacks_monitor_the_errors_of_a_loader(make_trainer, tmp_path):
    monitor = "val/vrmse" + ENDING.format(1)
    checkpoint = ModelCheckpoint(tmp_path / "checkpoints", "{epoch}", monitor)
    stopping = EarlyStopping("val/persistence/nrmse/height" + ENDING.format(0), patience=1)
    summary = HyperparameterSummary()
    options = {"max_epochs": 5, "num_sanity_val_steps": 1, "enable_checkpointing": True}
    trainer = make_trainer(*callbacks(), checkpoint, stopping, summary, **options)
    data = TwoLoaders()
    trainer.fit(make_module(data), datamodule=data)
    assert trainer.current_epoch == 2
    assert checkpoint.best_model_score.isfinite()


def test_loaders_may_come_without_a_datamodule_and_change_in_number(make_trainer, module):
    for loaders in (loader(200, 4), [loader(200, 4)], [loader(200, 4), loader(300, 2), loader(400, 2)], loader(300, 2)):
        trainer = make_trainer(OneStepErrors({"nrmse": NRMSE}), tensorboard=False)
        trainer.validate(module, loaders, verbose=False)
        n_loaders = len(loaders) if isinstance(loaders, list) else 1
        endings = [""] if n_loaders == 1 else [ENDING.format(i) for i in range(n_loaders)]
        names = {name for name in trainer.callback_metrics if name.startswith(("val/loss", "val/vrmse", "val/nrmse"))}
        shown = ("loss", "vrmse", "vrmse/height", "vrmse/velocity_x", "nrmse", "nrmse/height", "nrmse/velocity_x")
        assert names == {f"val/{name}{ending}" for name in shown for ending in endings}


def test_the_table_has_a_column_for_each_loader(make_trainer, module, tmp_path, capsys):
    trainer = make_trainer(*callbacks(), ErrorTable())
    trainer.test(module, datamodule=TwoLoaders(), verbose=False)
    folder = tmp_path / "log" / "version_0"
    (header,) = {line for line in (folder / "errors.md").read_text().splitlines() if line.startswith("|  |")}
    columns = [f"{name} one step, loader {i}" for name in ("VRMSE", "NRMSE") for i in range(2)]
    assert header == f"|  | {columns[0]} | {columns[1]} | VRMSE 6-12 | {columns[2]} | {columns[3]} |"
    errors = json.loads((folder / "errors.json").read_text())["errors"]
    logged = trainer.callback_metrics
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("│ model "))
    for i in range(2):
        assert errors["vrmse" + ENDING.format(i)] == logged["test/vrmse" + ENDING.format(i)]
        assert f"{errors['vrmse' + ENDING.format(i)]:.3g}" in row


def test_forecasts_of_several_loaders_lie_in_folders_of_their_own(make_trainer, module, tmp_path):
    trainer = make_trainer(PredictionWriter(str(tmp_path / "forecasts")))
    predictions = trainer.predict(module, datamodule=TwoLoaders())
    assert [len(of_loader) for of_loader in predictions] == [3, 1]
    written = sorted(str(path.relative_to(tmp_path / "forecasts")) for path in tmp_path.rglob("*.hdf5"))
    assert written == [f"dataloader_idx_{k}/forecast_{i:05d}.hdf5" for k, n in ((0, 5), (1, 2)) for i in range(n)]
