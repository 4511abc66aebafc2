import json
import re

import pytest
from lightning.pytorch.loggers import CSVLogger, Logger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fno_lightning.callbacks import ErrorTable, OneStepErrors, RolloutEvaluation
from fno_lightning.metrics import VRMSE
from tests.callbacks.waves import DivergingModule, WaveData, make_module


class OtherLogger(Logger):
    """Has a place like those of W&B or MLflow, and no folder of its own."""

    def __init__(self, save_dir, name, version):
        super().__init__()
        self._place = save_dir, name, version

    save_dir, name, version = (property(lambda self, part=part: self._place[part]) for part in range(3))

    def log_metrics(self, metrics, step=None):
        pass

    def log_hyperparams(self, *_, **__):
        pass


@pytest.fixture
def tested(make_trainer, tmp_path, capsys):
    data = WaveData()
    callbacks = OneStepErrors(), RolloutEvaluation(n_pictures=0), ErrorTable()
    trainer = make_trainer(*callbacks)
    trainer.test(make_module(data), datamodule=data, verbose=False)
    return trainer, tmp_path / "log" / "version_0", capsys.readouterr().out


def test_prints_model_and_baselines(tested):
    trainer, folder, printed = tested
    logged = trainer.callback_metrics
    assert "simulated by a test" in printed
    for source, prefix in (("model", ""), ("persistence", "persistence/"), ("mean", "mean/")):
        (row,) = (line for line in printed.splitlines() if line.startswith(f"│ {source} "))
        assert f"{logged[f'test/{prefix}vrmse']:.3g}" in row
        assert f"{logged[f'test/rollout/{prefix}vrmse_6-12']:.3g}" in row
    assert "6-12" in printed
    assert "13-30" not in printed
    assert str(folder / "errors.md") in printed
    assert f"--logdir {folder.parent}" in printed


def test_writes_markdown_and_json(tested):
    trainer, folder, _ = tested
    markdown = (folder / "errors.md").read_text()
    assert markdown.startswith("# Test errors on waves\n\nData: simulated by a test.\n")
    assert {"## Mean over fields", "## height", "## velocity_x"} <= set(markdown.splitlines())
    errors = json.loads((folder / "errors.json").read_text())["errors"]
    logged = {name.removeprefix("test/"): value.item() for name, value in trainer.callback_metrics.items()}
    assert errors == logged
    height = markdown.split("## height")[1].split("##")[0]
    assert f"| persistence | {errors['persistence/vrmse/height']:.3g} |" in height


def test_shows_the_table_in_tensorboard(tested):
    _, folder, _ = tested
    board = EventAccumulator(str(folder))
    board.Reload()
    (event,) = board.Tensors("test/errors/text_summary")
    assert event.tensor_proto.string_val[0].decode() == (folder / "errors.md").read_text()


@pytest.mark.parametrize("logger", [None, CSVLogger, OtherLogger])
def test_results_are_in_the_folder_of_the_run_with_any_logger(make_trainer, tmp_path, capsys, logger):
    data = WaveData(n_rollout=2)
    options = {"logger": logger(tmp_path, name="other", version=3)} if logger else {}
    rollouts = RolloutEvaluation(metrics={"vrmse": VRMSE}, animation=False)
    trainer = make_trainer(rollouts, ErrorTable(), tensorboard=False, **options)
    trainer.test(make_module(data), datamodule=data, verbose=False)
    folder = tmp_path / ("other/version_3" if logger else "fno_runs/version_0")
    printed = capsys.readouterr().out
    assert f"errors:      {folder / 'errors.md'}\n" in printed
    assert f"pictures:    {folder / 'pictures' / 'test'}\n" in printed
    assert "TensorBoard" not in printed
    assert json.loads((folder / "errors.json").read_text())["errors"].keys() >= {"vrmse", "rollout/vrmse"}
    pictures = {path.name for path in folder.rglob("*.png")}
    drawn = {
        f"{name}_{which}.png" for name in ("height", "velocity_x", "spectra") for which in ("0", "worst_speed=1.1")
    }
    assert {re.sub(r"speed=1\.\d", "speed=1.1", name) for name in pictures} == {
        *drawn,
        "vrmse_by_lead_time.png",
        "errors_by_speed.png",
    }


def test_a_trial_run_leaves_nothing_behind(make_trainer, tmp_path, capsys):
    data = WaveData(n_rollout=2)
    trainer = make_trainer(RolloutEvaluation(), ErrorTable(), fast_dev_run=True)
    trainer.test(make_module(data), datamodule=data, verbose=False)
    assert "model" in capsys.readouterr().out
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize("n_pictures", [0, 1])
def test_says_where_pictures_are_if_there_are_any(make_trainer, tmp_path, capsys, n_pictures):
    data = WaveData(n_rollout=2)
    rollouts = RolloutEvaluation(n_pictures=n_pictures, animation=False, metrics={"vrmse": VRMSE})
    make_trainer(rollouts, ErrorTable()).test(make_module(data), datamodule=data, verbose=False)
    folder = tmp_path / "log" / "version_0" / "pictures" / "test"
    assert folder.is_dir() == bool(n_pictures)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("pictures:")]
    assert said == [f"pictures:    {folder}"] * n_pictures


def test_infinite_errors_are_null_in_json(make_trainer, tmp_path):
    data = WaveData()
    rollouts = RolloutEvaluation(n_pictures=0, metrics={"vrmse": VRMSE})
    make_trainer(rollouts, ErrorTable()).test(make_module(data, DivergingModule), datamodule=data, verbose=False)
    text = (tmp_path / "log" / "version_0" / "errors.json").read_text()
    errors = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))["errors"]
    assert errors["rollout/vrmse_6-12"] is None
    assert errors["rollout/persistence/vrmse_6-12"] > 0


@pytest.fixture
def checkpoint(make_trainer, tmp_path):
    """A checkpoint in the folder of a run of four steps, which has a configuration."""
    data = WaveData()
    trainer = make_trainer(max_epochs=2, tensorboard=False)
    trainer.fit(make_module(data), datamodule=data)
    path = tmp_path / "training" / "checkpoints" / "last.ckpt"
    trainer.save_checkpoint(path)
    (tmp_path / "training" / "config.yaml").touch()
    return path


def test_results_name_checkpoint_and_configuration(make_trainer, checkpoint, tmp_path, capsys):
    data = WaveData()
    make_trainer(ErrorTable()).test(make_module(data), datamodule=data, ckpt_path=checkpoint, verbose=False)
    config = tmp_path / "training" / "config.yaml"
    printed = capsys.readouterr().out.splitlines()
    assert {f"checkpoint:  {checkpoint}, step 4, epoch 2", f"config:      {config}"} <= set(printed)
    folder = tmp_path / "log" / "version_0"
    assert f"Checkpoint: {checkpoint}, step 4, epoch 2\n\nConfig: {config}\n" in (folder / "errors.md").read_text()
    written = json.loads((folder / "errors.json").read_text())
    assert written.pop("errors")
    assert written == {"checkpoint": str(checkpoint), "step": 4, "epoch": 2, "config": str(config)}


def test_weights_without_a_checkpoint_are_not_given_that_of_an_earlier_test(make_trainer, checkpoint, tmp_path):
    data, table = WaveData(), ErrorTable()
    make_trainer(table).test(make_module(data), datamodule=data, ckpt_path=checkpoint, verbose=False)
    trainer = make_trainer(table)
    results = []
    for _ in range(2):
        trainer.test(make_module(data), datamodule=data, verbose=False)
        results.append(json.loads((tmp_path / "log" / "version_0" / "errors-v1.json").read_text()))  # of this trainer
        trainer.fit(make_module(data), datamodule=data)
    assert [result["step"] for result in results] == [None, 2]
    assert [result["checkpoint"] for result in results] == [None, None]
