import sys

import jaxtyping
import lightning as L
import pytest
import torch

from fno_lightning.data import GeneratedDataModule
from tests.travelling_wave import TravellingWave

pytest_plugins = ["tests.well_files"]

torch.set_num_threads(1)  # the tests' tensors are tiny, and the tests run side by side


@pytest.fixture(autouse=True)
def _no_command_line(monkeypatch):
    """LightningCLI warns when it is given arguments in a process that has some of its own."""
    monkeypatch.setattr(sys, "argv", ["fno-lightning"])


@pytest.fixture
def make_data(tmp_path):
    """Makes a datamodule of travelling waves on a given grid."""

    def make(grid=(16,), **options):
        options = {"n_steps_input": 2, "batch_size": 4, "n_train": 2, "base_path": str(tmp_path / "datasets")} | options
        return GeneratedDataModule(TravellingWave(grid=grid), **options)

    return make


@pytest.fixture
def make_trainer(tmp_path):
    """Makes a quiet trainer on the CPU."""

    def make(**options):
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        defaults = {"accelerator": "cpu", "max_epochs": 1, "default_root_dir": tmp_path, "enable_checkpointing": False}
        return L.Trainer(**(quiet | defaults | options))

    return make


@pytest.fixture
def compiler():
    """Makes a test compile anew, without the run-time shape checks that the compiler would have to see through."""
    torch._dynamo.reset()
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
    torch._dynamo.reset()
