"""Data sets on uneven axes and at uneven times: read, refused, resampled."""

import dataclasses
import logging

import h5py
import numpy as np
import pytest
import torch
import yaml

from fno_lightning.cli import main
from fno_lightning.data import FieldSpec, MixedDataModule, OnTheFlyDataModule, WellDataModule, WellFormatError
from fno_lightning.data.hdf5.resampling import uniform_matrix
from fno_lightning.modules import FNOModule
from tests.travelling_wave import TravellingWave

CHEBYSHEV = 0.5 - 0.5 * np.cos(np.pi * np.arange(12) / 11)


def module_of(root, **options):
    return WellDataModule(root.name, str(root.parent), **({"n_steps_input": 2, "cache": "none"} | options))


def edit(root, change, pattern="data/*/*.hdf5"):
    for path in sorted(root.glob(pattern)):
        with h5py.File(path, "r+") as file:
            change(file)


def stored(name, values, **attributes):
    """Return a change that stores other values in a data set."""

    def change(file):
        kept = dict(file[name].attrs)
        del file[name]
        file.create_dataset(name, data=values).attrs.update(kept | attributes)

    return change


def of_each(name, *rows):
    return stored(name, np.stack(rows), sample_varying=True)


@pytest.fixture
def uneven(data_set):
    """A data set on 6 x 12 points, the second axis a Chebyshev grid."""
    root = data_set((6, 12))
    edit(root, stored("dimensions/y", CHEBYSHEV.astype(np.float32)))
    return root


def test_the_specification_has_the_points_of_uneven_axes(uneven):
    spec = module_of(uneven).spec
    assert spec.uniform == (True, False)
    assert spec.coordinates[0] == ()
    np.testing.assert_allclose(spec.coordinates[1], CHEBYSHEV, atol=1e-7)
    assert FieldSpec.from_dict(spec.to_dict()) == spec
    np.testing.assert_allclose(spec.points((6, 12))[1], CHEBYSHEV, atol=1e-7)
    (low, high), n = spec.extent[1], 24
    np.testing.assert_allclose(spec.points((6, n))[1], low + (high - low) * (np.arange(n) + 0.5) / n)


def test_the_specification_of_even_axes_is_that_of_earlier_versions(data_set):
    spec = module_of(data_set((6, 12))).spec
    assert spec.uniform == (True, True)
    assert "coordinates" not in spec.to_dict()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_of_large_coordinates_shows_neither_in_the_axes_nor_in_the_edges(data_set, dtype):
    root = data_set((6, 12))
    edit(root, stored("dimensions/y", (1e6 + 0.1 * np.arange(12)).astype(np.float32).astype(dtype)))
    spec = module_of(root).spec
    assert spec.uniform == (True, True)
    assert spec.extent[1] == pytest.approx((1e6 - 0.05, 1e6 + 1.15), abs=0.07)
    edit(root, stored("dimensions/y", (1e6 + 1e-4 * np.arange(12)).astype(np.float32)))
    assert module_of(root).spec.uniform == (True, True)


def test_a_stride_may_make_an_axis_even(uneven):
    edit(uneven, stored("dimensions/y", np.arange(12) + 0.3 * (np.arange(12) % 2)))
    assert module_of(uneven).spec.uniform == (True, False)
    assert module_of(uneven, grid_stride=2).spec.uniform == (True, True)


def test_every_trajectory_is_looked_at(data_set, caplog):
    root = data_set((6, 12))
    even = (np.arange(12) + 0.5) / 12
    edit(root, of_each("dimensions/y", even, CHEBYSHEV), "data/train/a.hdf5")
    assert module_of(root).spec.uniform == (True, False)
    module_of(root).setup("fit")
    assert "a.hdf5 has other coordinates along y in trajectory 1 than in trajectory 0" in caplog.text
    with pytest.raises(ValueError, match=r"coordinates along y in trajectory 1 are not those in trajectory 0"):
        module_of(root, resample="uniform").setup("fit")
    edit(root, of_each("dimensions/y", even, even), "data/train/a.hdf5")
    edit(root, of_each("dimensions/y", even, CHEBYSHEV), "data/train/b.hdf5")
    with pytest.raises(WellFormatError, match=r"b\.hdf5 has the y coordinates uneven points in trajectory 1, but"):
        module_of(root).setup("fit")


def test_networks_that_need_even_points_refuse_the_data(uneven):
    with pytest.raises(ValueError, match=r"of 'waves' \(a test\) are not even, along y 0\.02025 to 0\.1423 apart"):
        FNOModule(module_of(uneven).spec, (2, 2), 4, n_steps_input=2)
    FNOModule(module_of(uneven, resample="uniform").spec, (2, 2), 4, n_steps_input=2)


@pytest.mark.parametrize("cache", ["none", "ram", "device"])
@pytest.mark.parametrize("field", ["pressure", "velocity_y"])
def test_fields_are_resampled_where_they_are_read(uneven, cache, field):
    raw, even = (module_of(uneven, fields=[field], resample=how, cache=cache) for how in (None, "uniform"))
    assert even.spec.uniform == (True, True)
    assert even.spec.extent == raw.spec.extent
    assert even.spec.grid_shape == (6, 12)
    matrix = torch.from_numpy(uniform_matrix(CHEBYSHEV.astype(np.float32).astype(np.float64), is_periodic=False))
    one, other = (module.dataset("train")[5] for module in (raw, even))
    for part in ("history", "target", "constants"):
        expected = getattr(one, part).double() @ matrix.T
        torch.testing.assert_close(getattr(other, part).double(), expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(one.scalars, other.scalars)


@pytest.mark.parametrize("resample", [None, "uniform"])
def test_a_stride_keeps_every_second_point_after_resampling(uneven, resample):
    full, strided = (module_of(uneven, resample=resample, grid_stride=stride) for stride in (1, 2))
    assert strided.spec.grid_shape == (3, 6)
    assert strided.spec.uniform == (True, resample == "uniform")
    for one, other in zip(full.dataset("train")[3], strided.dataset("train")[3], strict=True):
        assert torch.equal(one[..., ::2, ::2] if one.ndim > 1 else one, other)
    np.testing.assert_allclose(strided.spec.points((3, 6))[1], full.spec.points((6, 12))[1][::2], atol=1e-6)
    assert full.at_resolution((3, 6)).spec == strided.spec
    assert torch.equal(full.at_resolution((3, 6)).dataset("test")[0].target, strided.dataset("test")[0].target)


def test_statistics_are_those_of_the_resampled_fields(uneven):
    plain = module_of(uneven)
    plain.setup("fit")
    resampled = module_of(uneven, resample="uniform", dt_stride=2)
    resampled.setup("fit")
    assert sorted(path.name for path in uneven.glob("*.yaml")) == [
        "stats.yaml",
        "stats_stride_2_resample_uniform.yaml",
    ]
    frames = torch.stack([sample.history[0] for sample in module_of(uneven, resample="uniform").dataset("train")])
    last = torch.stack([s.target[0] for s in module_of(uneven, resample="uniform").dataset("train")])
    windows = [frames.unflatten(0, (4, -1)), last.unflatten(0, (4, -1))[:, -2:]]
    every = torch.cat(windows, dim=1).double()
    torch.testing.assert_close(resampled.statistics.mean.double(), every.mean(dim=(0, 1, 3, 4)), rtol=1e-5, atol=1e-6)
    std = every.transpose(0, 2).flatten(1).std(dim=1, correction=0)
    torch.testing.assert_close(resampled.statistics.std.double(), std, rtol=1e-5, atol=1e-6)
    deltas = (every[:, 2:] - every[:, :-2]).transpose(0, 2).flatten(1)
    torch.testing.assert_close(
        resampled.statistics.std_delta.double(), deltas.std(dim=1, correction=0), rtol=1e-5, atol=1e-6
    )
    assert (resampled.statistics.std < plain.statistics.std).all()
    constants = torch.stack([s.constants for s in module_of(uneven, resample="uniform").rollout_dataset("train")])
    torch.testing.assert_close(resampled.statistics.constant_mean[0], constants.double().mean(), rtol=1e-4, atol=1e-5)


def test_caches_of_resampled_and_of_stored_fields_are_told_apart(uneven):
    keys = {module_of(uneven, resample=how, cache="ram")._source("train").key for how in (None, "uniform")}
    assert len(keys) == 2


def test_even_data_are_not_resampled(data_set, caplog):
    root = data_set((6, 4))
    with caplog.at_level(logging.INFO):
        data = module_of(root, resample="uniform")
        data.setup("fit")
    assert data.spec == module_of(root).spec
    assert (root / "stats.yaml").exists()
    assert "are even, so nothing is resampled" in caplog.text
    for one, other in zip(data.dataset("train")[3], module_of(root).dataset("train")[3], strict=True):
        assert torch.equal(one, other)


def test_the_log_says_what_is_resampled(uneven, caplog):
    with caplog.at_level(logging.INFO):
        module_of(uneven, resample="uniform").setup("fit")
    assert caplog.text.count("resampled to evenly spaced points along y") == 1


@pytest.mark.parametrize("order", [1, -1], ids=["increasing", "decreasing"])
def test_a_smooth_field_is_the_exact_one_at_the_new_points(data_set, order):
    root = data_set((64, 48))
    x, y = (order * (0.5 - 0.5 * np.cos(np.pi * (np.arange(n) + 0.5) / n)) for n in (64, 48))
    exact = np.cos(2 * x)[:, None] * np.exp(y)[None]
    edit(root, stored("dimensions/x", x))
    edit(root, stored("dimensions/y", y))
    edit(root, stored("t0_fields/pressure", np.broadcast_to(exact, (2, 8, 64, 48)).astype(np.float64)))
    edit(root, stored("t0_fields/mask", np.full((2, 64, 48), 2.5)))
    for path in root.glob("data/*/*.hdf5"):  # x is not periodic here
        with h5py.File(path, "r+") as file:
            file["boundary_conditions/x_periodic"].attrs["bc_type"] = "OPEN"
    data = module_of(root, resample="uniform", fields=["pressure"])
    spec, sample = data.spec, data.dataset("train")[0]
    points = spec.points(spec.grid_shape)
    assert (np.diff(points[0]) * order > 0).all()
    expected = np.cos(2 * np.array(points[0]))[:, None] * np.exp(np.array(points[1]))[None]
    assert np.abs(sample.target[0, 0].numpy() - expected).max() < 1e-3
    torch.testing.assert_close(sample.constants, torch.full((1, 64, 48), 2.5, dtype=torch.float64))


def test_fields_without_variation_along_an_axis(tmp_path, irregular_file):
    for split in ("train", "valid", "test"):
        path = irregular_file(tmp_path / "irregular" / "data" / split / "a.hdf5", (5, 4))
        with h5py.File(path, "r+") as file:
            file["dimensions/x"][...] = [0.0, 0.1, 0.3, 0.7, 1.5]
            file["dimensions/y"][...] = [0.0, 0.5, 0.6, 1.5]
    raw, even = (module_of(tmp_path / "irregular", resample=how) for how in (None, "uniform"))
    one, other = raw.dataset("train")[0].history, even.dataset("train")[0].history
    channel = raw.spec.fields.index("profile")
    matrix = torch.from_numpy(uniform_matrix(raw.spec.coordinates[0] @ np.eye(5), is_periodic=False)).float()
    torch.testing.assert_close(other[0, channel], matrix @ one[0, channel])
    assert torch.equal(other[0, channel, :, :1].expand(5, 4), other[0, channel])
    assert torch.isfinite(even.statistics.mean).all()


def test_members_of_a_mixture_must_have_the_same_points(uneven, data_set):
    even = data_set((6, 12), name="even")
    members = {"uneven": module_of(uneven), "even": module_of(even)}
    with pytest.raises(ValueError, match=r"'even' has coordinates \(\), but the first one has"):
        _ = MixedDataModule(members).spec
    mixed = MixedDataModule(members | {"uneven": module_of(uneven, resample="uniform")})
    assert mixed.spec.uniform == (True, True)


def uneven_times(file):
    stored("dimensions/time", np.arange(8.0) ** 1.5)(file)


def times_of_each(file):
    of_each("dimensions/time", 0.25 * np.arange(8), 0.5 * np.arange(8))(file)


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (uneven_times, r"has frames at uneven times, 1 to 3\.82\d apart, and one network .* uneven_time to 'ignore'"),
        (times_of_each, r"time steps, 0\.25 in trajectory 0 and 0\.5 in trajectory 1, and one network .* dt_stride"),
    ],
)
def test_times_without_a_single_step_are_refused(data_set, change, expected, stage):
    root = data_set()
    edit(root, change, "data/*/b.hdf5")
    for options in ({}, {"max_rollout_steps": 1}, {"dt_stride": 2}, {"window_stride": 3}):
        with pytest.raises(ValueError, match=rf"b\.hdf5 .*{expected}"):
            module_of(root, **options).setup(stage)
    module_of(root, exclude_filters=["b."]).setup(stage)


def test_uneven_times_may_be_ignored(data_set, caplog):
    root = data_set()
    edit(root, uneven_times)
    data = module_of(root, uneven_time="ignore")
    data.setup("fit")
    assert data.spec.time_step == pytest.approx(7**1.5 / 7)
    assert "a.hdf5 has frames at uneven times" in caplog.text
    assert "uneven_time is 'ignore'" in caplog.text
    assert "(and 1 more)" in caplog.text


@pytest.mark.parametrize("n_frames", [1, 2, 8])
def test_times_of_single_precision_and_of_few_frames_are_even(data_set, n_frames):
    root = data_set(n_frames=n_frames)
    edit(root, stored("dimensions/time", (1e3 + 0.1 * np.arange(n_frames)).astype(np.float32)))
    module_of(root, n_steps_input=min(1, n_frames - 1)).setup("fit")


def test_files_at_another_interval_are_a_warning_in_fit(data_set, caplog):
    root = data_set()
    edit(root, stored("dimensions/time", 0.5 * np.arange(8)), "data/valid/b.hdf5")
    module_of(root).setup("fit")
    assert "b.hdf5 has a frame every 0.5, but" in caplog.text


class UnevenWave(TravellingWave):
    """A wave whose frames are stored ever more seldom."""

    @property
    def schema(self):
        schema = super().schema
        return dataclasses.replace(schema, time=schema.time**2)


def test_equations_are_looked_at_too():
    with pytest.raises(ValueError, match=r"UnevenWave makes frames at uneven times, .*: one network cannot"):
        OnTheFlyDataModule(UnevenWave(), n_steps_input=1)


@pytest.mark.parametrize("option", ["resample", "uneven_time"])
@pytest.mark.parametrize("value", ["even", True])
def test_options_are_named(option, value):
    with pytest.raises(ValueError, match=rf"{option} is {value!r}, expected '\w+'"):
        WellDataModule("waves", **{option: value})


def test_the_command_line_trains_tests_and_predicts_on_resampled_fields(uneven, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {
        "seed_everything": 0,
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 1,
            "limit_train_batches": 1,
            "enable_progress_bar": False,
            "default_root_dir": "runs",
            "logger": False,
            "callbacks": [{"class_path": "fno_lightning.callbacks.PredictionWriter", "init_args": {"folder": "out"}}],
        },
        "model": {"class_path": "fno_lightning.FNOModule", "init_args": {"n_modes": [2, 4], "hidden_channels": 4}},
        "data": {
            "class_path": "fno_lightning.WellDataModule",
            "init_args": {"dataset_name": uneven.name, "base_path": str(uneven.parent), "n_steps_input": 2},
        },
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    resample = ["--data.init_args.resample", "uniform"]
    with pytest.raises(ValueError, match=r"(?s)are not even, along y .*--data\.init_args\.resample uniform"):
        main(["fit", "--config", "own.yaml"])
    cli = main(["fit", "--config", "own.yaml", *resample])
    cli.trainer.save_checkpoint("some.ckpt")
    with pytest.warns(UserWarning, match=r"forecast for the \w+ '\w+' of .*, but the network was trained on"):
        main(["predict", "--config", "own.yaml", *resample, "--ckpt_path", "some.ckpt"])
    spec = cli.datamodule.spec
    with h5py.File(tmp_path / "out" / "forecast_00000.hdf5") as file:
        np.testing.assert_allclose(file["dimensions/y"], spec.points(spec.grid_shape)[1], rtol=1e-6)
