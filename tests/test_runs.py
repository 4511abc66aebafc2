"""The folder of a run, with every kind of logger."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from fno_lightning.runs import _new_version, run_folder, run_path
from tests.two_processes import join, results_of


class OnlineLogger(Logger):
    """Logger as those of services are: a folder by project and run where there is a copy here, else none."""

    def __init__(self, save_dir, name="project", version="a1b2"):
        super().__init__()
        self._save_dir, self._name, self._version = save_dir, name, version

    @property
    def save_dir(self):
        return self._save_dir

    @property
    def name(self):
        return self._name

    @property
    def version(self):
        return self._version

    def log_metrics(self, metrics, step=None): ...

    def log_hyperparams(self, params, *args, **kwargs): ...


def make_trainer(logger, **options):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu", "devices": 1}
    return Trainer(logger=logger, **quiet, **options)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.mark.parametrize(
    ("loggers", "folder"),
    [
        (lambda: TensorBoardLogger("runs", name="wave"), "runs/wave/version_0"),
        (lambda: TensorBoardLogger("~/runs", name="wave"), "home/runs/wave/version_0"),
        (lambda: TensorBoardLogger(".", name="", version=""), "."),
        (lambda: CSVLogger("runs", name="wave", version="first"), "runs/wave/first"),
        (lambda: OnlineLogger("wandb"), "wandb/project/a1b2"),
        (lambda: OnlineLogger(".", name="0", version="17"), "0/17"),
        (lambda: OnlineLogger(None), "fno_runs/version_0"),
        (lambda: OnlineLogger("s3://bucket"), "fno_runs/version_0"),
        (lambda: OnlineLogger(".", version=None), "fno_runs/version_0"),
        (lambda: False, "fno_runs/version_0"),
        (lambda: [OnlineLogger(None), CSVLogger("csv", name="wave")], "csv/wave/version_0"),
        (lambda: [OnlineLogger("w"), TensorBoardLogger("runs")], "w/project/a1b2"),
    ],
)
def test_a_run_has_a_folder_with_every_logger(loggers, folder, tmp_path):
    trainer = make_trainer(loggers())
    assert (tmp_path / run_folder(trainer)).resolve() == (tmp_path / folder).resolve()
    assert run_folder(trainer) == run_folder(trainer)


def test_runs_without_a_logger_have_folders_of_their_own(tmp_path):
    first, second = make_trainer(False), make_trainer(False, default_root_dir="elsewhere")
    assert run_folder(first) == tmp_path / "fno_runs" / "version_0"
    assert run_folder(make_trainer(False)) == tmp_path / "fno_runs" / "version_1"
    assert run_folder(second) == Path("elsewhere/fno_runs/version_0")
    assert run_folder(first) == tmp_path / "fno_runs" / "version_0"
    first.logger = CSVLogger("csv", name="later")
    assert run_folder(first) == Path("csv/later/version_0")


def test_a_fast_run_leaves_nothing_behind():
    assert run_folder(make_trainer(CSVLogger("csv"), fast_dev_run=True)) is None
    assert list(Path().iterdir()) == []


def test_runs_that_begin_at_the_same_time_share_no_folder(tmp_path):
    (tmp_path / "version_7").mkdir()
    (tmp_path / "version_of_mine").mkdir()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(_new_version, [tmp_path] * 32))
    assert sorted(made) == sorted(tmp_path / f"version_{number}" for number in range(8, 40))


def folders_of(rank, port, root):
    join(rank, port)
    trainer = Trainer(logger=False, accelerator="cpu", devices=2, strategy="ddp", default_root_dir=f"{root}/{rank}")
    trainer.strategy.setup_environment()
    return str(run_folder(trainer))


def test_all_processes_have_the_folder_of_the_first(tmp_path):
    expected = str(tmp_path / "0" / "fno_runs" / "version_0")
    assert results_of(folders_of, str(tmp_path)) == [expected, expected]
    assert not (tmp_path / "1").exists()


def test_a_run_replaces_its_own_results_and_no_others(make_trainer, tmp_path):
    folder = tmp_path / "log" / "version_0"
    folder.mkdir(parents=True)
    (folder / "errors.md").write_text("of an earlier run")
    (folder / "pictures").mkdir()
    first, second = (make_trainer(tensorboard=True) for _ in range(2))
    for _ in range(2):
        assert run_path(first, "errors.md") == folder / "errors-v1.md"
        assert run_path(first, "pictures") == folder / "pictures-v1"
        run_path(first, "errors.md").write_text("of this run")
    assert run_path(second, "errors.md") == folder / "errors-v2.md"
    assert run_path(make_trainer(fast_dev_run=True), "errors.md") is None


def test_a_run_that_can_have_no_folder_goes_on(make_trainer, tmp_path):
    (tmp_path / "fno_runs").write_text("a file in the place of the folder")
    trainer = make_trainer(tensorboard=False)
    with pytest.warns(UserWarning, match="there is no folder for the results of this run"):
        assert run_folder(trainer) is None
    assert run_path(trainer, "errors.md") is None
