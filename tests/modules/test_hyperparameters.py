"""Whatever options are given, checkpoints hold plain values, and load with the defaults of Lightning and PyTorch."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import nn

from fno_lightning.data import FieldSpec
from fno_lightning.modules import FNOModule, ForecastModule, NetworkModule, TFNOModule, WarmupCosine
from tests.modules.test_forecast import ConvolutionModule

NETWORK = {"class_path": "tests.modules.test_forecast.Silent", "init_args": {"out_channels": np.int64(2)}}

CASES = {
    "numbers of NumPy": lambda **common: FNOModule(
        n_modes=np.array([8]),
        hidden_channels=np.int64(8),
        n_layers=np.int32(2),
        channel_mlp_expansion=np.float64(0.5),
        use_channel_mlp=np.bool_(True),
        domain_padding=np.float32(0.25),
        bases=np.array(["fourier"]),
        **common,
    ),
    "tensors": lambda **common: TFNOModule(n_modes=torch.tensor([8]), rank=torch.tensor(0.5), n_layers=1, **common),
    "ranges and tuples": lambda **common: FNOModule(n_modes=range(8, 9), bases=("fourier",), n_layers=1, **common),
    "a user's own": lambda **common: ConvolutionModule(width=np.int64(4), **common),
    "another network": lambda **common: NetworkModule(network=NETWORK, **common),
}
PLAIN = {
    "numbers of NumPy": lambda **common: FNOModule(
        n_modes=[8], hidden_channels=8, n_layers=2, domain_padding=0.25, bases=["fourier"], **common
    ),
    "tensors": lambda **common: TFNOModule(n_modes=[8], rank=0.5, n_layers=1, **common),
    "ranges and tuples": lambda **common: FNOModule(n_modes=[8], bases=["fourier"], n_layers=1, **common),
    "a user's own": lambda **common: ConvolutionModule(width=4, **common),
    "another network": lambda **common: NetworkModule(network=NETWORK | {"init_args": {"out_channels": 2}}, **common),
}


def optimizer(parameters):
    return torch.optim.AdamW(parameters, lr=np.float64(1e-3), betas=(np.float64(0.9), 0.999))


def schedule(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, step_size=np.int64(2), gamma=np.float64(0.5))


def built(make, data):
    torch.manual_seed(0)
    module = make(spec=data.spec, n_steps_input=np.int64(2))
    module.configure_model()
    return module


@pytest.mark.parametrize("case", CASES)
def test_options_in_any_form_make_the_same_module(case, make_data):
    data = make_data()
    module, expected = built(CASES[case], data), built(PLAIN[case], data)
    assert module.state_dict().keys() == expected.state_dict().keys()
    for name, value in expected.state_dict().items():
        assert torch.equal(module.state_dict()[name], value), name
    given = {name: value for name, value in module.hparams.items() if name != "init_args"}
    assert given == dict(expected.hparams)
    assert repr(dict(module.hparams)) == repr(dict(expected.hparams))  # 8, not np.int64(8)


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
@pytest.mark.parametrize("case", CASES)
def test_their_checkpoints_load_by_default(case, make_data, make_trainer, tmp_path):
    data = make_data()
    best = ModelCheckpoint(tmp_path, filename="best", monitor="val/vrmse", save_last=True)
    stopping = EarlyStopping("val/vrmse", patience=np.int64(5), min_delta=np.float64(1e-9))
    options = {"spec": data.spec, "n_steps_input": 2, "optimizer": optimizer, "lr_scheduler": schedule}
    trainer = make_trainer(best, stopping, enable_checkpointing=True)
    trainer.fit(CASES[case](**options), data)
    assert 0 < trainer.test(datamodule=data, ckpt_path="best", verbose=False)[0]["test/vrmse"] < 5
    assert type(ForecastModule.load_from_checkpoint(tmp_path / "best.ckpt")) is type(trainer.model)
    resumed = make_trainer(best, stopping, enable_checkpointing=True, max_epochs=2)
    resumed.fit(CASES[case](**options), data, ckpt_path=str(tmp_path / "last.ckpt"))
    assert resumed.current_epoch == 2


class WithFunction(ConvolutionModule):
    """A module with an argument that no checkpoint can hold."""

    def __init__(self, activation, **kwargs):
        super().__init__(**kwargs)
        self.activation = activation


class WithRunTimeFunction(WithFunction):
    run_time_arguments = ("activation",)


@pytest.mark.parametrize("activation", [nn.GELU, nn.GELU(), torch.sin, lambda x: x, partial(torch.sin)])
def test_what_a_checkpoint_cannot_hold_is_refused_at_once(activation, make_data):
    data = make_data()
    with pytest.raises(TypeError, match=r"activation is .*, which a checkpoint cannot hold.*run_time_arguments"):
        WithFunction(activation, spec=data.spec, n_steps_input=2)
    module = WithRunTimeFunction(activation, spec=data.spec, n_steps_input=2, optimizer=optimizer)
    assert {"activation", "optimizer"}.isdisjoint(module.hparams)


class SavingItself(ConvolutionModule):
    """A module that does what Lightning's users do."""

    def __init__(self, shape=(3,), **kwargs):
        super().__init__(**kwargs)
        self.save_hyperparameters()


def test_a_module_may_save_its_options_by_itself(make_data, make_trainer, tmp_path):
    data, trainer = make_data(), make_trainer()
    options = {"spec": data.spec, "n_steps_input": 2, "optimizer": optimizer, "freeze": ["0"]}
    trainer.fit(SavingItself(np.array([3, 4]), **options), data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    module = SavingItself.load_from_checkpoint(tmp_path / "last.ckpt")
    assert module.hparams["shape"] == [3, 4]
    assert FieldSpec.from_dict(module.hparams["spec"]) == data.spec
    assert {"optimizer", "freeze", "loss"}.isdisjoint(module.hparams)
    with pytest.raises(TypeError, match="note is of type object"):
        module.save_hyperparameters({"note": object()})


def test_a_module_without_some_arguments_loads_when_they_are_passed(make_data, make_trainer, tmp_path):
    data, trainer = make_data(), make_trainer()
    trainer.fit(WithRunTimeFunction(torch.sin, spec=data.spec, n_steps_input=2), data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    module = WithRunTimeFunction.load_from_checkpoint(tmp_path / "last.ckpt", activation=torch.cos)
    assert module.activation is torch.cos


def test_paths_in_the_data_modules_options_are_text(make_data, make_trainer, tmp_path):
    data = make_data(base_path=tmp_path / "data sets", batch_size=np.int64(4), include_filters=np.array(["speed"]))
    trainer = make_trainer()
    trainer.fit(FNOModule(data.spec, n_modes=[8], n_layers=1, hidden_channels=4, n_steps_input=2), data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["datamodule_hyper_parameters"]
    assert saved["base_path"] == str(tmp_path / "data sets")
    assert (saved["batch_size"], saved["include_filters"]) == (4, ["speed"])


def test_a_checkpoint_is_loaded_from_a_path_with_a_variable(make_data, make_trainer, tmp_path, monkeypatch):
    monkeypatch.setenv("RUNS", str(tmp_path))
    data, trainer = make_data(), make_trainer()
    module = FNOModule(data.spec, n_modes=[8], n_layers=1, hidden_channels=4, n_steps_input=2)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    for path in ("$RUNS/last.ckpt", Path("$RUNS", "last.ckpt")):
        assert type(ForecastModule.load_from_checkpoint(path)) is FNOModule
    again = FNOModule(data.spec, n_modes=[8], n_layers=1, hidden_channels=4, n_steps_input=2)
    again.initial_weights = "$RUNS/last.ckpt"
    make_trainer(max_steps=0).fit(again, data)
    for name, value in module.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    with pytest.raises(ValueError, match=r"the checkpoint is \$NO_SUCH/last.ckpt, but the variable NO_SUCH is not set"):
        ForecastModule.load_from_checkpoint("$NO_SUCH/last.ckpt")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"freeze": "lifting"}, "freeze is 'lifting', expected a list"),
        ({"n_modes": "8"}, "n_modes is '8', expected a list"),
        ({"n_modes": 8}, "n_modes is 8, expected a list"),
        ({"bases": "fourier"}, "bases is 'fourier', expected a list"),
    ],
)
def test_one_text_is_no_list(options, said, make_data):
    with pytest.raises(TypeError, match=said):
        FNOModule(make_data().spec, **{"n_modes": [8], "n_steps_input": 2} | options)


def test_the_schedule_of_the_package_takes_numbers_of_numpy(make_data, make_trainer, tmp_path):
    data, trainer = make_data(), make_trainer()
    warm_up = partial(WarmupCosine, warmup=np.float64(0.25), final=np.float32(0.5))
    trainer.fit(FNOModule(data.spec, n_modes=[8], n_layers=1, n_steps_input=2, lr_scheduler=warm_up), data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["lr_schedulers"][0]["warmup"] == 0.25
