"""Making data without training."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fno_lightning.__main__ import run
from fno_lightning.commands.generate import main
from fno_lightning.data import WellDataModule

CONFIG = {
    "seed_everything": 0,
    "trainer": {"max_epochs": 3, "callbacks": [{"class_path": "fno_lightning.callbacks.ErrorTable"}]},
    "model": {"class_path": "fno_lightning.modules.FNOModule", "init_args": {"n_modes": [8]}},
    "data": {
        "class_path": "fno_lightning.data.GeneratedDataModule",
        "init_args": {
            "pde": {"class_path": "tests.travelling_wave.TravellingWave"},
            "n_train": 2,
            "n_steps_input": 2,
            "base_path": "data sets",
        },
    },
}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("wave.yaml").write_text(yaml.safe_dump(CONFIG))


def test_the_data_of_a_configuration_are_made(caplog):
    caplog.set_level("INFO")
    assert main(["--config", "wave.yaml", "--data.init_args.n_train", "3"]) == 0
    (root,) = Path("data sets").iterdir()
    assert (root / "stats.yaml").exists()
    assert len(WellDataModule(root.name, "data sets", n_steps_input=2).dataset("train")) == 2 * 3 * 8
    assert f"to check the files: python -m fno_lightning check {root}" in caplog.text


def test_the_data_of_a_shipped_configuration_are_made():
    equation = "{resolution: [32], viscosities: [0.1], frame_interval: 0.1}"
    small = f"{{data: {{init_args: {{pde: {{init_args: {equation}}}, n_train: 1, n_valid: 1, n_test: 1}}}}}}"
    assert main(["--config", "burgers", "--config", small]) == 0
    assert [path.name.partition("-")[0] for path in Path("datasets").iterdir()] == ["burgers"]


def test_every_member_of_a_mixture_is_made():
    members = dict.fromkeys(("one", "two"), CONFIG["data"])
    data = {"class_path": "fno_lightning.data.MixedDataModule", "init_args": {"members": members}}
    Path("mixed.yaml").write_text(yaml.safe_dump(CONFIG | {"data": data}))
    assert main(["--config", "mixed.yaml"]) == 0
    assert list(Path("data sets").rglob("*.hdf5"))


def test_what_stores_nothing_says_so():
    init_args = {"pde": CONFIG["data"]["init_args"]["pde"], "n_steps_input": 2}
    data = {"class_path": "fno_lightning.data.OnTheFlyDataModule", "init_args": init_args}
    Path("fresh.yaml").write_text(yaml.safe_dump(CONFIG | {"data": data}))
    with pytest.raises(ValueError, match="OnTheFlyDataModule stores nothing"):
        main(["--config", "fresh.yaml"])


@pytest.mark.parametrize("command", ["check", "generate", "transfer"])
def test_every_command_has_help(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fno-lightning", command, "--help"])
    with pytest.raises(SystemExit) as stopped:
        run()
    assert stopped.value.code in (0, None)
    assert f"fno-lightning {command}" in capsys.readouterr().out


def test_errors_are_told_in_a_line(monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["fno-lightning", "generate", "--config", "wave.yaml", "--data.init_args.n_train=0"]
    )
    with pytest.raises(SystemExit, match="error: n_train is 0, expected at least 1"):
        run()


@pytest.mark.long
def test_generate_and_check_are_programs():
    """In processes of their own, as a user runs them."""
    root = Path(__file__).parents[2]

    def program(*args):
        return subprocess.run(
            [sys.executable, "-m", "fno_lightning", *args],
            env={"PYTHONPATH": str(root), "PATH": "", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    made = program("generate", "--config", "wave.yaml")
    assert made.returncode == 0, made.stderr
    (data_set,) = Path("data sets").iterdir()
    checked = program("check", str(data_set))
    assert (checked.returncode, checked.stdout) == (0, "6 files: no faults\n"), checked.stderr
