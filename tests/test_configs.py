"""Every file in configs/ trains and tests, on data made small by the file of the same name in tests/configs/."""

import json
import logging
from pathlib import Path

import pytest
import yaml

from fno_lightning.cli import main

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
EXPERIMENTS = [path for path in CONFIGS if "data" in yaml.safe_load(path.read_text())]


def made_small(experiment):
    return ["--config", str(experiment), "--config", str(ROOT / "tests" / "configs" / experiment.name)]


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_trains_and_tests(experiment, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    trained = main(["fit", *made_small(experiment)])
    best = trained.trainer.checkpoint_callback.best_model_path
    tested = main(["test", *made_small(experiment), "--ckpt_path", best])
    assert 0 < tested.trainer.callback_metrics["test/vrmse"] < float("inf")
    assert "persistence" in capsys.readouterr().out
    assert list(Path("runs").glob("*/version_*/errors.md"))


def test_the_profile_is_a_trace_and_a_table(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    for name in ("lightning", "lightning.pytorch"):  # which of them prints depends on who imported it
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    overlay = ["--config", str(ROOT / "configs" / "profile.yaml")]
    main(["fit", *made_small(ROOT / "configs" / "trl2d.yaml"), *overlay, "--data.init_args.batch_size=1"])
    (trace,) = Path("runs").rglob("*.pt.trace.json")
    assert "Self CPU %" in caplog.text
    assert trace.name in caplog.text
    assert json.loads(trace.read_text())["traceEvents"]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_configuration_says_only_what_differs(config):
    assert len(config.read_text().splitlines()) <= 50
