"""Every file in configs/ trains and tests, on data made small by the file of the same name in tests/configs/."""

import json
import os
import subprocess
import sys
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
    baseline = "persistence" if trained.datamodule.n_steps_input else "mean"  # a steady problem has no last frame
    assert f"│ {baseline}" in capsys.readouterr().out
    assert list(Path("runs").glob("*/version_*/errors.md"))


def test_the_profile_is_a_trace_and_a_table(tmp_path):
    options = [*made_small(ROOT / "configs" / "trl2d.yaml"), "--config", str(ROOT / "configs" / "profile.yaml")]
    finished = subprocess.run(  # a process of its own, for what is printed depends on who has set up logging
        [sys.executable, "-m", "fno_lightning", "fit", *options, "--data.init_args.batch_size=1"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    printed = finished.stdout + finished.stderr
    (trace,) = (tmp_path / "runs").rglob("*.pt.trace.json")
    assert "Self CPU %" in printed
    assert trace.name in printed
    assert json.loads(trace.read_text())["traceEvents"]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_configuration_says_only_what_differs(config):
    assert len(config.read_text().splitlines()) <= 50
