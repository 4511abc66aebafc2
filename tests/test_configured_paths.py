"""Paths with ``~`` and variables, wherever the command line takes one."""

import sys
from pathlib import Path

import pytest
import yaml

from fno_lightning.__main__ import run
from fno_lightning.cli import main
from fno_lightning.commands.check import main as check
from fno_lightning.commands.generate import main as generate
from fno_lightning.commands.transfer import TransferStudy
from fno_lightning.configured_paths import with_expanded_paths
from tests.wave_config import CONFIG

BEST = "runs/wave/version_0/checkpoints/best.ckpt"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HERE", str(tmp_path / "there"))
    monkeypatch.setenv("HOME", str(tmp_path / "there"))
    monkeypatch.delenv("NO_SUCH", raising=False)
    Path("there").mkdir()
    Path("there/wave.yaml").write_text(CONFIG)
    Path("wave.yaml").write_text(
        'base: "$HERE/wave.yaml"  # with its data elsewhere\ndata: {init_args: {base_path: ~/data}}\n'
    )


def test_every_path_of_a_run_is_expanded():
    options = ["--config=$HERE/wave.yaml", "--config=wave.yaml", "--trainer.limit_train_batches=1"]
    logs = ["--trainer.logger=CSVLogger", "--trainer.logger.save_dir=$HERE/runs"]
    checkpoints = "{class_path: ModelCheckpoint, init_args: {dirpath: $HERE/kept, filename: best, monitor: val/loss}}"
    main(["fit", *options, *logs, f"--trainer.callbacks=[{checkpoints}]"])
    kept = "--ckpt_path=~/kept/best.ckpt"
    writer = ["--trainer.callbacks+=PredictionWriter", "--trainer.callbacks.folder=$HERE/forecasts"]
    main(["predict", *options, *logs, kept, f"--trainer.callbacks=[{checkpoints}]", *writer])
    main(["fit", *options, *logs, "--model.init_args.initial_weights=$HERE/kept/best.ckpt", "--trainer.max_steps=0"])
    assert {path.name for path in Path().iterdir()} == {"there", "wave.yaml"}
    assert {"kept", "forecasts", "data", "runs"} <= {path.name for path in Path("there").iterdir()}
    assert (Path("there/runs/wave/version_0") / "config.yaml").is_file()


def test_what_was_written_is_what_is_saved():
    main(["fit", "--config=wave.yaml", "--trainer.max_steps=0"])
    saved = yaml.safe_load(Path("runs/wave/version_0/config.yaml").read_text())
    assert saved["data"]["init_args"]["base_path"] == "~/data"


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("--data.init_args.base_path=$NO_SUCH/data", "base_path"),
        ("--ckpt_path=$NO_SUCH/best.ckpt", "--ckpt_path"),
        ("--model.init_args.initial_weights=$NO_SUCH/best.ckpt", "initial_weights"),
        ("--trainer.default_root_dir=$NO_SUCH", "--trainer.default_root_dir"),
        ("--trainer.logger.init_args.save_dir=${NO_SUCH}", "--trainer.logger.init_args.save_dir"),
        ("--config=$NO_SUCH/wave.yaml", "the configuration"),
        (
            "--trainer.callbacks=[{class_path: PredictionWriter, init_args: {folder: $NO_SUCH}}]",
            "folder of PredictionWriter",
        ),
    ],
)
def test_a_variable_that_is_not_set_is_named_with_the_option(option, named, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["fno-lightning", "fit", "--config=wave.yaml", option])
    with pytest.raises(SystemExit) as stopped:
        run()
    told = str(stopped.value)
    assert told.startswith(f"error: {named} is ")
    assert "but the variable NO_SUCH is not set" in told.splitlines()[0]
    assert {path.name for path in Path().iterdir()} == {"there", "wave.yaml"}


def test_the_base_of_a_configuration_is_named():
    for line, said in (("base: $NO_SUCH/a.yaml", "base in own.yaml is"), ("base:", "own.yaml: base is None, expected")):
        Path("own.yaml").write_text(f"{line}\ntrainer: {{max_epochs: 3}}\n")
        with pytest.raises(ValueError, match=said):
            main(["fit", "--config=own.yaml"])


def test_addresses_are_left_alone():
    options = {"default_root_dir": "s3://bucket/$X", "logger": [{"init_args": {"save_dir": "", "name": "$X"}}]}
    assert with_expanded_paths(options) == options


@pytest.mark.parametrize("word", ["best", "last"])
def test_words_for_a_checkpoint_are_of_a_training_that_goes_on(word):
    with pytest.raises(SystemExit, match=f"--ckpt_path {word}: there is no such file, and the training .* is over"):
        main(["test", "--config=wave.yaml", f"--ckpt_path={word}"])


def test_data_are_generated_and_checked_where_a_variable_points(capsys):
    assert generate(["--config=wave.yaml", "--data.init_args.base_path=${HERE}/generated"]) == 0
    (folder,) = Path("there/generated").iterdir()
    assert check([f"~/generated/{folder.name}"]) == 0
    assert "6 files: no faults" in capsys.readouterr().out
    assert check(["$NO_SUCH/generated"]) == 2
    assert "$NO_SUCH/generated, but the variable NO_SUCH is not set" in capsys.readouterr().err
    assert {path.name for path in Path().iterdir()} == {"there", "wave.yaml"}


def test_a_study_lies_where_a_variable_points(tmp_path):
    study = TransferStudy("~/wave.yaml", {"shifted": {}}, folder="$HERE/study")
    assert study.folder == str(tmp_path / "there" / "study")
    with pytest.raises(ValueError, match=r"pretrained is \$NO_SUCH/best\.ckpt, but the variable"):
        TransferStudy("~/wave.yaml", {"shifted": {}}, pretrained="$NO_SUCH/best.ckpt")
