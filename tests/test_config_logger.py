"""Where the command line writes, and what it leaves alone."""

from pathlib import Path

import pytest
import yaml

from fno_lightning.cli import main
from fno_lightning.data import read_well_file
from tests.wave_config import CONFIG

NOTES = "# my own notes\n"
FIXED = "--trainer.logger.init_args.version=0"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """A folder whose own configuration has the name that the resolved one has."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(NOTES + CONFIG)


def run(subcommand, *options):
    cli = main([subcommand, "--config", "config.yaml", "--trainer.limit_train_batches=1", *options])
    assert Path("config.yaml").read_text() == NOTES + CONFIG
    return cli


def is_resolved(path):
    return "compile" in yaml.safe_load(Path(path).read_text())["model"]["init_args"]


CSV, ONLINE = "lightning.pytorch.loggers.CSVLogger", "tests.test_runs.OnlineLogger"
LOGGERS = {
    "fno_runs/version_0/config.yaml": False,
    "runs/wave/version_0/config.yaml": {"init_args": {"name": "wave"}},
    "csv/log/first/config.yaml": {
        "class_path": CSV,
        "init_args": {"save_dir": "csv", "name": "log", "version": "first"},
    },
    "config-v1.yaml": {"class_path": CSV, "init_args": {"save_dir": ".", "name": "", "version": ""}},
    "a/project/a1b2/config.yaml": {"class_path": ONLINE, "init_args": {"save_dir": "a", "name": "project"}},
    "b/two/a1b2/config.yaml": [
        {"class_path": ONLINE, "init_args": {"save_dir": "b", "name": "two"}},
        {"class_path": CSV, "init_args": {"save_dir": "c"}},
    ],
}


@pytest.mark.parametrize("path", LOGGERS)
@pytest.mark.filterwarnings("ignore:Experiment logs directory")
def test_the_configuration_lies_in_the_folder_of_the_run(path):
    run("fit", "--config", yaml.safe_dump({"trainer": {"logger": LOGGERS[path]}}))
    assert is_resolved(path)
    assert {str(file) for file in Path().rglob("config*.yaml")} == {"config.yaml", path}


def test_a_resumed_run_keeps_the_configuration_of_the_first(caplog):
    caplog.set_level("INFO")
    run("fit", FIXED)
    folder = Path("runs/wave/version_0")
    first = (folder / "config.yaml").read_text()
    assert f"the configuration of this run is in {folder / 'config.yaml'}" in caplog.text
    checkpoint = str(folder / "checkpoints" / "best.ckpt")
    resumed = [FIXED, "--ckpt_path", checkpoint, "--trainer.max_epochs=2"]
    with pytest.warns(UserWarning, match="exists and is not empty"):
        run("fit", *resumed)
    run("test", FIXED, "--ckpt_path", checkpoint)
    assert (folder / "config.yaml").read_text() == first
    assert "max_epochs: 2" in (folder / "config-v1.yaml").read_text()
    assert f"the configuration of this run is in {folder / 'config-v1.yaml'}" in caplog.text
    assert is_resolved(folder / "config-v2.yaml")


def test_forecasts_lie_in_a_folder_of_their_own_which_is_named(caplog):
    caplog.set_level("INFO")
    run("fit")
    predict = ["--ckpt_path", "runs/wave/version_0/checkpoints/best.ckpt"]
    for number, options in enumerate(([], [FIXED], ["--trainer.logger=false"])):
        caplog.clear()
        run("predict", *predict, *options)
        said = caplog.text.rpartition("the forecasts are in ")[2].strip()
        folder = [
            "runs/wave/version_1/predictions",
            "runs/wave/version_0/predictions",
            "fno_runs/version_0/predictions",
        ]
        assert Path(said).resolve() == Path(folder[number]).resolve()
        assert read_well_file(Path(said) / "forecast_00000.hdf5").n_frames == 8
    run("predict", *predict, FIXED)
    assert len(list(Path("runs/wave/version_0/predictions-v1").iterdir())) == 2


def test_a_fast_run_leaves_nothing_behind():
    before = set(Path().iterdir())
    run("fit", "--trainer.fast_dev_run=true")
    assert {path.name for path in set(Path().iterdir()) - before} == {"datasets"}
