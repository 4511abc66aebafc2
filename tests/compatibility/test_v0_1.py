"""Files that version 0.1 wrote; its classes were named there by the files that defined them."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from fno_lightning import FNOModule, ForecastModule, GeneratedDataModule, TFNOModule
from fno_lightning.cli import main
from fno_lightning.pdes import DarcyFlow, ThresholdedFourier

FILES = Path(__file__).parent / "v0_1"
DATA_SET = "darcy_flow-c7ece3e70502"


@pytest.fixture
def old_data(tmp_path):
    shutil.copytree(FILES / DATA_SET, tmp_path / DATA_SET)
    return tmp_path


def darcy(base_path, **options):
    pde = DarcyFlow((8, 8), permeability=ThresholdedFourier())
    counts = {"n_train": 2, "n_valid": 1, "n_test": 1} | options
    return GeneratedDataModule(pde, str(base_path), **counts, n_steps_input=0, source="simulate")


@pytest.mark.parametrize(("name", "kind"), [("tfno", TFNOModule), ("mixture", FNOModule)])
def test_a_checkpoint_gives_the_forecast_that_it_gave(name, kind):
    module = ForecastModule.load_from_checkpoint(FILES / f"{name}.ckpt", weights_only=True)
    saved = torch.load(FILES / f"{name}_forecast.pt")
    n_scalars = len(module.spec.scalars)
    scalars, member = saved["scalars"][:, :n_scalars], saved["scalars"][:, n_scalars:].long().flatten()
    forecast = module.forecast(saved["history"], saved["constants"], scalars, member=member)
    assert type(module) is kind
    torch.testing.assert_close(forecast, saved["forecast"], rtol=1e-5, atol=1e-6)


def test_the_command_line_tests_a_checkpoint(old_data, monkeypatch):
    monkeypatch.chdir(old_data)
    data = {
        "class_path": "fno_lightning.data.GeneratedDataModule",
        "init_args": {
            "pde": {
                "class_path": "fno_lightning.pdes.DarcyFlow",
                "init_args": {
                    "resolution": [8, 8],
                    "permeability": {"class_path": "fno_lightning.pdes.ThresholdedFourier"},
                },
            },
            "base_path": ".",
            "n_train": 2,
            "n_steps_input": 0,
            "source": "simulate",
        },
    }
    Path("config.yaml").write_text(json.dumps({"data": data, "trainer": {"logger": False, "accelerator": "cpu"}}))
    model = ["--model", "TFNOModule", "--model.init_args.n_modes", "[1,1]"]
    cli = main(["test", "--config", "config.yaml", *model, "--ckpt_path", str(FILES / "tfno.ckpt")])
    assert type(cli.model) is TFNOModule
    assert cli.model.network_arguments["n_modes"] == [4, 4]


def test_a_training_is_resumed(old_data, make_trainer):
    data = darcy(old_data)
    module = ForecastModule.load_from_checkpoint(FILES / "tfno.ckpt")
    trainer = make_trainer(max_epochs=2)
    trainer.fit(module, data, ckpt_path=FILES / "tfno.ckpt")
    assert trainer.global_step == 2


def test_a_training_starts_from_the_weights(old_data, make_trainer):
    data = darcy(old_data)
    saved = ForecastModule.load_from_checkpoint(FILES / "tfno.ckpt")
    options = {name: value for name, value in saved.hparams.items() if not name.startswith("_")}
    module = TFNOModule(**options, initial_weights=str(FILES / "tfno.ckpt"))
    make_trainer(max_steps=0, limit_val_batches=0).fit(module, data)
    torch.testing.assert_close(module.state_dict(), saved.state_dict())


def test_scalars_of_a_checkpoint_stay_linear():
    module = ForecastModule.load_from_checkpoint(FILES / "mixture.ckpt")
    assert module.spec.scalars
    assert not module.normalizer.is_log.any()


def test_a_data_set_is_used_where_it_is(old_data):
    data = darcy(old_data)
    data.prepare_data()
    assert data.root == old_data / DATA_SET
    assert [path.name for path in old_data.iterdir()] == [DATA_SET]


def test_a_data_set_of_other_settings_is_not_used(old_data):
    data = darcy(old_data, n_train=3)
    data.prepare_data()
    assert data.root != old_data / DATA_SET


def test_a_data_set_without_settings_is_not_used(old_data):
    (old_data / DATA_SET / "settings.json").write_text("{")
    assert darcy(old_data).root != old_data / DATA_SET
