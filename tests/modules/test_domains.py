"""What a module or a checkpoint was made for, compared with the data: points, time step, axes, boundaries, lengths."""

import dataclasses
import re
import warnings

import numpy as np
import pytest
from torch import nn

from fno_lightning.data import FieldSpec
from fno_lightning.modules import FNOModule, ForecastModule, NetworkModule, TFNOModule

UNEVEN = tuple(float(x) for x in 0.5 - 0.5 * np.cos(np.pi * np.arange(8) / 7))
SPEC = FieldSpec(
    dataset_name="convection",
    fields=("u",),
    grid_shape=(6, 8),
    axes=("x", "z"),
    extent=((0.0, 2.0), (0.0, 1.0)),
    boundaries=(("periodic", "periodic"), ("wall", "wall")),
    time_step=0.1,
    source="a test",
)
UNEVEN_SPEC = dataclasses.replace(SPEC, coordinates=((), UNEVEN))
CONVOLUTION = {
    "class_path": "torch.nn.Conv2d",
    "init_args": {"in_channels": 2, "out_channels": 1, "kernel_size": 3, "padding": 1},
}


class OwnModule(ForecastModule):
    def build_network(self):
        return nn.Conv2d(self.in_channels, self.out_channels, 3, padding=1)


class OwnFourierModule(OwnModule):
    needs_even_axes = True


class OwnFNO(FNOModule):
    needs_even_axes = False


MODULES = {
    "FNOModule": lambda spec: FNOModule(spec, (2, 2), 4, n_layers=1, n_steps_input=2),
    "TFNOModule": lambda spec: TFNOModule(spec, (2, 2), hidden_channels=4, n_layers=1, n_steps_input=2),
    "OwnFourierModule": lambda spec: OwnFourierModule(spec=spec, n_steps_input=2),
    "NetworkModule": lambda spec: NetworkModule(network=CONVOLUTION, spec=spec, n_steps_input=2),
    "OwnModule": lambda spec: OwnModule(spec=spec, n_steps_input=2),
    "OwnFNO": lambda spec: OwnFNO(spec, (2, 2), 4, n_layers=1, n_steps_input=2),
}


@pytest.mark.parametrize("name", ["FNOModule", "TFNOModule", "OwnFourierModule"])
@pytest.mark.parametrize("as_plain_values", [False, True])
def test_uneven_axes_are_refused(name, as_plain_values):
    spec = UNEVEN_SPEC.to_dict() if as_plain_values else UNEVEN_SPEC
    expected = rf"'convection' .*are not even, along z 0\.04952 to 0\.2225 apart, but {name} .*resample uniform"
    with pytest.raises(ValueError, match=expected):
        MODULES[name](spec)


@pytest.mark.parametrize("name", ["NetworkModule", "OwnModule", "OwnFNO"])
def test_uneven_axes_are_taken_with_one_warning(name):
    with pytest.warns(UserWarning, match=rf"not even, along z .*, and {name} takes them as they are") as caught:
        MODULES[name](UNEVEN_SPEC)
    assert len(caught) == 1


@pytest.mark.parametrize("name", MODULES)
def test_even_axes_and_descriptions_of_earlier_versions_pass(name):
    MODULES[name](SPEC)
    MODULES[name]({key: value for key, value in SPEC.to_dict().items() if key != "coordinates"})


def test_several_uneven_axes_are_all_named():
    both = dataclasses.replace(SPEC, coordinates=(UNEVEN[:6], UNEVEN))
    with pytest.raises(ValueError, match=r"along x 0\.04952 to 0\.2225 apart and along z"):
        MODULES["FNOModule"](both)
    unnamed = dataclasses.replace(UNEVEN_SPEC, axes=())
    with pytest.raises(ValueError, match=r"not even, along y 0\.04952"):
        MODULES["FNOModule"](unnamed)


@pytest.fixture
def trained(make_data, make_trainer, tmp_path):
    data = make_data()
    trainer = make_trainer()
    trainer.fit(FNOModule(data.spec, (4,), 4, n_layers=1, n_steps_input=2), data)
    trainer.save_checkpoint(tmp_path / "trained.ckpt")
    return tmp_path / "trained.ckpt"


STEP = r"steps by 0\.05, the data by 0\.1 \(.*\): a network takes the frame interval that it was trained on"


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_another_time_step_is_said_in_every_evaluation(trained, make_data, make_trainer, stage):
    module = ForecastModule.load_from_checkpoint(trained)
    data = make_data(dt_stride=2)
    with pytest.warns(UserWarning, match=f"^the module {STEP}") as caught:
        getattr(make_trainer(), stage)(module, datamodule=data)
    assert len([item for item in caught if "steps by" in str(item.message)]) == 1


def test_another_time_step_is_said_when_a_training_resumes_or_starts_from_weights(trained, make_data, make_trainer):
    data = make_data(dt_stride=2)

    def module(**options):
        return FNOModule(data.spec, (4,), 4, n_layers=1, n_steps_input=2, **options)

    with pytest.warns(UserWarning, match=f"^the checkpoint {STEP}"):
        make_trainer(max_epochs=2).fit(module(), data, ckpt_path=trained)
    with pytest.warns(UserWarning, match=f"^the checkpoint {STEP}"):
        make_trainer().fit(module(initial_weights=str(trained)), data)
    with pytest.warns(UserWarning, match=f"^the checkpoint {STEP}"):
        make_trainer().test(module(), data, ckpt_path=trained, verbose=False)


def test_the_same_data_give_no_warning_and_other_resolutions_one_of_the_grid_alone(trained, make_data, make_trainer):
    make_trainer().test(ForecastModule.load_from_checkpoint(trained), make_data(), verbose=False)
    for data in (make_data((32,)), make_data(grid_stride=3), make_data((24,), grid_stride=2)):
        with pytest.warns(
            UserWarning, match=r"^forecast on a grid of \d+ points, but the network was trained on 16"
        ) as said:
            make_trainer().test(ForecastModule.load_from_checkpoint(trained), data, verbose=False)
        assert len([one for one in said if issubclass(one.category, UserWarning)]) == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"boundaries": (("wall", "open"),)}, r"was made for boundaries \(\('periodic', 'periodic'\),\), the data"),
        ({"axes": ("z",)}, r"was made for axes \('x',\), the data .* have \('z',\)"),
        ({"extent": ((0.0, 3.0),)}, r"was made for a domain 1 long in x, that of the data .* is 3 long"),
        ({"time_step": 0.05 * (1 + 1e-2)}, r"steps by 0\.05, the data by 0\.0505"),
        ({"time_step": 0.05 * (1 + 1e-6)}, None),
        ({"time_step": None}, None),
        ({"extent": ((5.0, 6.0 + 1e-6),)}, None),
        ({"extent": (), "axes": (), "boundaries": ()}, None),
        ({"extent": ((1.0, 0.0),)}, None),
    ],
    ids=str,
)
def test_other_domains_are_said(trained, make_data, make_trainer, change, expected):
    data = make_data()
    data.spec = dataclasses.replace(data.spec, **change)
    module = ForecastModule.load_from_checkpoint(trained)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make_trainer().test(module, data, verbose=False)
    said = [text for text in (str(item.message) for item in caught) if text.startswith("the module")]
    assert len(said) == (expected is not None)
    assert all(re.match(f"the module {expected}", text) for text in said)


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
def test_a_module_made_for_even_points_refuses_uneven_data_when_it_meets_them(trained, make_data, make_trainer, stage):
    data = make_data()
    points = tuple(np.sort(np.random.default_rng(0).random(16)).tolist())
    data.spec = dataclasses.replace(data.spec, coordinates=(points,))
    with pytest.raises(ValueError, match=r"not even, along x .*FNOModule"):
        getattr(make_trainer(), stage)(ForecastModule.load_from_checkpoint(trained), datamodule=data)


def test_other_modules_say_that_points_differ_from_those_of_the_training(make_data, make_trainer):
    data = make_data()
    network = {"class_path": "torch.nn.Conv1d", "init_args": {"in_channels": 5, "out_channels": 2, "kernel_size": 1}}
    module = NetworkModule(network=network, spec=data.spec, n_steps_input=2)
    data.spec = dataclasses.replace(data.spec, coordinates=(tuple(float(k**2) for k in range(16)),))
    with pytest.warns(UserWarning, match=r"made for even points along x, those of .* are uneven"):
        make_trainer().validate(module, data, verbose=False)
