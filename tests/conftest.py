import logging
import sys
from importlib.util import find_spec

import jaxtyping
import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from fno_lightning.data import GeneratedDataModule
from tests.travelling_wave import TravellingWave

pytest_plugins = ["tests.well_files"]
collect_ignore = [] if find_spec("heavyball") else ["race/soap.py"]  # its examples need the package

logging.getLogger("lightning.pytorch").propagate = True  # Lightning says no where no handler was there before it
torch.set_num_threads(1)  # the tests' tensors are tiny, and the tests run side by side


@pytest.fixture(autouse=True)
def _no_command_line(monkeypatch):
    """Hide pytest's arguments, of which LightningCLI would warn."""
    monkeypatch.setattr(sys, "argv", ["fno-lightning"])


@pytest.fixture(autouse=True)
def _no_seed_of_another_test(monkeypatch):
    """Forget the seed that Lightning keeps in the environment, on which random draws depend."""
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)


@pytest.fixture
def make_data(tmp_path):
    """Make a datamodule of travelling waves on a given grid."""

    def make(grid=(16,), **options):
        options = {"n_steps_input": 2, "batch_size": 4, "n_train": 2, "base_path": str(tmp_path / "datasets")} | options
        return GeneratedDataModule(TravellingWave(grid=grid), **options)

    return make


@pytest.fixture
def logs_to_tensorboard():
    """Whether trainers log to TensorBoard where a test does not say; a room of tests may override it."""
    return False


@pytest.fixture
def make_trainer(tmp_path, logs_to_tensorboard):
    """Make a quiet trainer on the CPU, with logs in ``tmp_path/log/version_0`` or without a logger."""

    def make(*callbacks, tensorboard=logs_to_tensorboard, **options):
        logger = TensorBoardLogger(tmp_path, name="log", version=0, default_hp_metric=False) if tensorboard else False
        defaults = {
            "callbacks": list(callbacks),
            "logger": logger,
            "accelerator": "cpu",
            "devices": 1,
            "max_epochs": 1,
            "num_sanity_val_steps": 0,
            "log_every_n_steps": 1,
            "default_root_dir": tmp_path,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        }
        return L.Trainer(**(defaults | options))

    return make


@pytest.fixture
def compiler():
    """Compile anew, without the run-time shape checks, which the compiler would have to trace."""
    torch._dynamo.reset()
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
    torch._dynamo.reset()
