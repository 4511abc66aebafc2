"""Arguments of data modules, in the forms that Python users give them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fno_lightning.data import GeneratedDataModule, MixedDataModule, OnTheFlyDataModule, WellDataModule
from tests.travelling_wave import TravellingWave

COUNTS = {"n_steps_input": 2, "n_steps_output": 1, "batch_size": 4, "eval_batch_size": 2, "rollout_batch_size": 1}
WINDOWS = {"dt_stride": 1, "window_stride": 2, "eval_window_stride": 1, "grid_stride": 2, "max_rollout_steps": 3}


def generated(folder, **options):
    return GeneratedDataModule(TravellingWave(), **{"base_path": folder, "n_steps_input": 2} | options)


def on_the_fly(folder, **options):
    return OnTheFlyDataModule(TravellingWave(), **{"n_steps_input": 2} | options)


def well(folder, **options):
    made = generated(folder)
    made.prepare_data()
    return WellDataModule(made.root.name, folder, **{"n_steps_input": 2} | options)


def mixed(folder, **options):
    return MixedDataModule({"one": generated(folder), "two": generated(folder, seed=1)}, **options)


OPTIONS = {
    generated: COUNTS
    | WINDOWS
    | {"n_train": 3, "n_valid": 2, "n_test": 1, "seed": 5, "subsample": 1, "n_processes": 1},
    on_the_fly: COUNTS | {"samples_per_epoch": 8, "n_valid": 2, "n_test": 1, "n_statistics": 2, "seed": 3},
    well: COUNTS | WINDOWS | {"subsample": 2, "fields": ["flux"], "include_filters": ["speed"]},
    mixed: {"batch_size": 4, "num_workers": 0, "names": ["one", "two"], "scalars": ["speed"]},
}


@pytest.mark.parametrize("make", OPTIONS)
def test_numbers_of_numpy_make_the_same_data(make, tmp_path):
    torch.manual_seed(0)
    options = OPTIONS[make]
    of_numpy = {name: np.asarray(value)[()] for name, value in options.items()}
    data, expected = make(tmp_path, **of_numpy), make(str(tmp_path), **options)
    assert repr(dict(data.hparams)) == repr(dict(expected.hparams))
    assert repr(data.spec) == repr(expected.spec)
    for module in (data, expected):
        module.prepare_data()
        module.setup()
    for name in ("val_dataloader", "predict_dataloader"):
        batch, same = next(iter(getattr(data, name)())), next(iter(getattr(expected, name)()))
        assert all(torch.equal(part, other) for part, other in zip(batch, same, strict=True))
    assert len(next(iter(data.train_dataloader())).target) == len(next(iter(expected.train_dataloader())).target) == 4


@pytest.mark.parametrize("make", [generated, well])
def test_a_path_is_expanded_and_stored_as_it_was_written(make, tmp_path, monkeypatch):
    monkeypatch.setenv("DATA", str(tmp_path))
    expected = make(tmp_path)
    for path in ("$DATA", Path("$DATA"), "${DATA}"):
        data = make(path)
        assert data.root == expected.root
        assert data.hparams["base_path"] == str(path)
    with pytest.raises(ValueError, match=r"base_path is \$NO_SUCH, but the variable NO_SUCH is not set"):
        make("$NO_SUCH")


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (well, {"fields": "height"}, "fields is 'height', expected a list: fields=\\['height'\\]"),
        (generated, {"include_filters": "speed"}, "include_filters is 'speed', expected a list"),
        (generated, {"exclude_filters": "speed"}, "exclude_filters is 'speed', expected a list"),
        (mixed, {"names": "one"}, "names is 'one', expected a list"),
        (mixed, {"scalars": "speed"}, "scalars is 'speed', expected a list"),
        (generated, {"batch_size": "8"}, "batch_size is '8', expected a whole number"),
        (generated, {"n_train": 2.5}, "n_train is 2.5, expected a whole number"),
        (on_the_fly, {"n_valid": True}, "n_valid is True, expected a whole number"),
        (generated, {"seed": torch}, "seed is of type module, which a checkpoint cannot hold"),
    ],
)
def test_another_type_is_refused_with_the_name(make, options, said, tmp_path):
    with pytest.raises(TypeError, match=said):
        make(tmp_path, **options)


def test_members_have_names(tmp_path):
    with pytest.raises(TypeError, match=r"members is \[.*\], expected a dictionary"):
        MixedDataModule([generated(tmp_path)])
