"""The grids of a training: in the checkpoint, and in a warning where a forecast leaves them."""

import warnings

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from fno_lightning.callbacks import ResolutionErrors
from fno_lightning.data import GeneratedDataModule, collate
from fno_lightning.modules import FNOModule, ForecastModule
from fno_lightning.pdes import Poisson
from tests.travelling_wave import TravellingWave


@pytest.fixture
def data(tmp_path):
    pde = TravellingWave(grid=(16,), speeds=(1.0,), n_frames=4)
    return GeneratedDataModule(pde, str(tmp_path), n_train=4, n_steps_input=2, batch_size=2, train_strides=[1, 2])


def trainer(**options):
    options = {"max_epochs": 1, "accelerator": "cpu", "logger": False, "enable_checkpointing": False} | options
    return L.Trainer(**options, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0)


def make_module(data):
    return FNOModule(data.spec, (4,), 4, n_layers=1, n_steps_input=2)


def forecast(module, n_points):
    return module.forecast(torch.rand(2, 2, 2, n_points), scalars=torch.ones(2, 1))


def warnings_of(function, *arguments):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(*arguments)
    return [str(warning.message) for warning in caught]


def test_a_checkpoint_holds_the_grids_of_its_training_as_plain_values(data, tmp_path):
    training = trainer()
    module = make_module(data)
    training.fit(module, data)
    training.save_checkpoint(path := tmp_path / "last.ckpt")
    assert torch.load(path, weights_only=True)["training_grids"] == [[8], [16]]
    assert ForecastModule.load_from_checkpoint(path).training_grids.seen == {(8,), (16,)}


def test_a_forecast_on_another_grid_gives_one_warning_that_names_both(data):
    module = make_module(data)
    assert warnings_of(forecast, module, 32) == []
    trainer().fit(module, data)
    assert warnings_of(forecast, module, 8) == warnings_of(forecast, module, 16) == []
    (warning,) = warnings_of(forecast, module, 32)
    assert warning.startswith("forecast on a grid of 32 points, but the network was trained on 8, 16 alone")
    assert warnings_of(forecast, module, 32) == []
    assert len(warnings_of(forecast, module, 12)) == 1


def test_the_grid_of_an_old_checkpoint_is_that_of_its_data(data, tmp_path):
    training = trainer()
    training.fit(make_module(data), data)
    training.save_checkpoint(path := tmp_path / "last.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["training_grids"]
    torch.save(checkpoint, path)
    assert ForecastModule.load_from_checkpoint(path).training_grids.seen == {(16,)}


@pytest.mark.filterwarnings("ignore:You defined a `validation_step`")
@pytest.mark.filterwarnings("ignore:fields are not normalised")
def test_the_grids_of_a_training_without_a_datamodule_are_those_of_its_batches(data):
    data.prepare_data()
    data.setup("fit")
    samples = [data.dataset("train")[i] for i in range(2)]
    module = make_module(data)
    trainer().fit(module, DataLoader(samples, batch_size=2, collate_fn=collate))
    assert module.training_grids.to_plain() == [[16]]


def test_tests_on_another_grid_warn_but_errors_by_resolution_do_not(tmp_path):
    data = GeneratedDataModule(
        Poisson(resolution=(32, 32)), str(tmp_path), n_train=2, n_test=1, n_steps_input=0, batch_size=2
    )
    data.prepare_data()
    module = FNOModule(data.spec, (4, 4), 4, n_layers=1, n_steps_input=0)
    module.fit_normalization(data.statistics)
    module.training_grids.add([(32, 32)])
    trainer(callbacks=[ResolutionErrors([[64, 64]])], default_root_dir=str(tmp_path)).test(module, data, verbose=False)
    finer = data.at_resolution((64, 64))
    with pytest.warns(
        UserWarning, match="forecast on a grid of 64 x 64 points, but the network was trained on 32 x 32"
    ):
        trainer(default_root_dir=str(tmp_path)).test(module, finer, verbose=False)
