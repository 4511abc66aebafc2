import logging
import os
import subprocess
import sys
from contextlib import nullcontext

import h5py
import numpy as np
import pytest
import torch
import yaml
from the_well.data.normalization import ZScoreNormalization

from fno_lightning.check import check
from fno_lightning.data import WellDataModule, WellFormatError, read_well_file
from fno_lightning.data.hdf5.statistics import compute_statistics
from fno_lightning.data.statistics import Moments


def stored(root, name):
    """All values of a field in the train split, ``(trajectory, ...)`` in float64."""
    values = []
    for path in sorted((root / "data" / "train").iterdir()):
        with h5py.File(path) as file:
            group = next(group for group in ("t0_fields", "t1_fields", "t2_fields") if name in file[group])
            values.append(file[group][name][()].astype(np.float64))
    return np.concatenate(values)


def module_of(root, **options):
    return WellDataModule(root.name, str(root.parent), n_steps_input=2, **options)


def test_moments_of_chunks_are_those_of_the_whole():
    values = torch.randn(1000, 3, dtype=torch.float64) * torch.tensor([1.0, 1e-3, 1e3]) + torch.tensor([0.0, 1e3, -1e6])
    moments = Moments(3)
    for chunk in values.split([1, 0, 499, 2, 498]):
        moments.update(chunk)
    np.testing.assert_allclose(moments.mean, values.numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.std, values.numpy().std(0), rtol=1e-9)
    np.testing.assert_allclose(moments.rms, np.sqrt((values.numpy() ** 2).mean(0)), rtol=1e-12)


@pytest.mark.parametrize("dt_stride", [1, 3])
@pytest.mark.parametrize("chunk_bytes", [1, 500, 2**25])
def test_computed_statistics_are_numpys(data_set, monkeypatch, chunk_bytes, dt_stride):
    monkeypatch.setattr("fno_lightning.data.hdf5.blocks.BLOCK_BYTES", chunk_bytes)
    root = data_set()
    statistics = module_of(root, dt_stride=dt_stride).statistics
    pressure, velocity = stored(root, "pressure"), stored(root, "velocity")
    values = np.concatenate([pressure[..., None], stored(root, "density")[..., None], velocity], axis=-1)
    deltas = values[:, dt_stride:] - values[:, :-dt_stride]
    for name, data in (("", values), ("_delta", deltas)):
        data = data.reshape(-1, 4)
        np.testing.assert_allclose(getattr(statistics, f"mean{name}"), data.mean(0), rtol=1e-6)
        np.testing.assert_allclose(getattr(statistics, f"std{name}"), data.std(0), rtol=1e-6)
        np.testing.assert_allclose(getattr(statistics, f"rms{name}"), np.sqrt((data**2).mean(0)), rtol=1e-6)
    mask = stored(root, "mask")
    np.testing.assert_allclose(statistics.constant_mean, [mask.mean()], rtol=1e-6)
    np.testing.assert_allclose(statistics.constant_std, [mask.std()], rtol=1e-6)
    scalars = [read_well_file(path).scalars for path in sorted((root / "data" / "train").iterdir())]
    scalars = np.array([np.concatenate([file[name] for file in scalars]) for name in ("viscosity", "forcing")])
    np.testing.assert_allclose(statistics.scalar_mean, scalars.mean(1), rtol=1e-6)
    np.testing.assert_allclose(statistics.scalar_std, scalars.std(1), rtol=1e-6)
    with np.errstate(invalid="ignore", divide="ignore"):
        logarithms = np.where(scalars.min(1, keepdims=True) > 0, np.log(scalars), np.nan)
    np.testing.assert_allclose(statistics.scalar_log_mean, logarithms.mean(1), rtol=1e-6)
    np.testing.assert_allclose(statistics.scalar_log_std, logarithms.std(1), rtol=1e-6)
    np.testing.assert_allclose([statistics.scalar_min, statistics.scalar_max], [scalars.min(1), scalars.max(1)])


def test_progress_is_reported_chunk_by_chunk(tmp_path, irregular_file, monkeypatch):
    fractions = []
    monkeypatch.setattr("fno_lightning.data.hdf5.statistics.progress_bar", lambda _: nullcontext(fractions.append))
    monkeypatch.setattr("fno_lightning.data.hdf5.blocks.BLOCK_BYTES", 1)  # a chunk is a frame
    files = [read_well_file(irregular_file(tmp_path / f"{k}.hdf5", n_trajectories=3, n_frames=9)) for k in range(2)]
    compute_statistics(files, ["velocity", "map"])
    assert len(fractions) == 2 * (3 * 9 + 3)
    assert fractions == sorted(fractions)
    n_velocity, n_map = 2 * 9, 1
    assert fractions[2 * 3 * 9 - 1] == pytest.approx(n_velocity / (n_velocity + n_map))
    assert fractions[-1] == 1


@pytest.mark.parametrize("storage", [{}, {"chunks": True}])
def test_shared_fields_and_tensors_have_statistics(tmp_path, irregular_file, storage):
    file = read_well_file(irregular_file(tmp_path / "a.hdf5", **storage))
    table = compute_statistics([file], [field.name for field in file.fields])
    with h5py.File(file.path) as handle:
        for field in file.fields:
            values = handle[field.path][()].astype(np.float64)
            axes = tuple(range(values.ndim - field.order))
            np.testing.assert_allclose(table["mean"][field.name], values.mean(axes).ravel(), rtol=1e-9)
            np.testing.assert_allclose(table["std"][field.name], values.std(axes).ravel(), rtol=1e-9)
            assert (field.name in table["mean_delta"]) is field.time_varying
        shared = handle["t0_fields/shared"][()].astype(np.float64)
        np.testing.assert_allclose(table["std_delta"]["shared"], [np.diff(shared, axis=0).std()], rtol=1e-9)


def test_the_file_that_is_written_serves_the_wells_normalization(data_set):
    root = data_set()
    module_of(root).statistics  # noqa: B018
    table = yaml.safe_load((root / "stats.yaml").read_text())
    theirs = ZScoreNormalization(table, ["pressure", "density", "velocity"], ["mask"])
    statistics = module_of(root).statistics
    torch.testing.assert_close(theirs.flattened_means["variable"], statistics.mean.float())
    torch.testing.assert_close(theirs.flattened_stds["variable"], statistics.std.float())
    torch.testing.assert_close(theirs.flattened_stds_delta["variable"], statistics.std_delta.float())
    torch.testing.assert_close(theirs.flattened_means["constant"], statistics.constant_mean.float())


def table_of(**changes):
    table = {
        "mean": {"density": 1.0, "pressure": 2.0, "velocity": [3.0, 4.0], "mask": 5.0},
        "std": {"density": 6.0, "pressure": 7.0, "velocity": [8.0, 9.0], "mask": 10.0},
        "mean_delta": {"density": 11.0, "pressure": 12.0, "velocity": [13.0, 14.0]},
        "std_delta": {"density": 15.0, "pressure": 16.0, "velocity": [17.0, 18.0]},
    }
    return table | changes


def test_a_complete_file_is_used_as_it_is(data_set, caplog):
    caplog.set_level(logging.INFO)
    root = data_set()
    path = root / "stats.yaml"
    path.write_text(yaml.safe_dump(table_of()))
    before = path.read_bytes()
    statistics = module_of(root).statistics
    assert statistics.mean.tolist() == [2, 1, 3, 4]
    assert statistics.std_delta.tolist() == [16, 15, 17, 18]
    assert statistics.rms[0] == pytest.approx(np.hypot(2, 7))
    assert statistics.constant_std.tolist() == [10]
    assert path.read_bytes() == before
    assert str(path) in caplog.text


def test_chosen_fields_have_their_own_statistics(data_set):
    root = data_set()
    (root / "stats.yaml").write_text(yaml.safe_dump(table_of()))
    statistics = module_of(root, fields=["velocity_y", "density"]).statistics
    assert statistics.mean.tolist() == [1, 4]
    assert statistics.std_delta.tolist() == [15, 18]


def test_missing_entries_are_computed_and_added(data_set, caplog):
    caplog.set_level(logging.INFO)
    root = data_set()
    path = root / "stats.yaml"
    path.write_text(yaml.safe_dump(table_of(std_delta={"density": 15.0, "velocity": [17.0, 18.0]}, note={"else": 1})))
    statistics = module_of(root).statistics
    assert statistics.mean.tolist()[1:] == [1, 3, 4]
    assert statistics.std_delta[0].item() == pytest.approx(np.diff(stored(root, "pressure"), axis=1).std(), rel=1e-6)
    written = yaml.safe_load(path.read_text())
    assert written["note"] == {"else": 1}
    assert written["mean"]["velocity"] == [3.0, 4.0]
    assert written["mean"]["pressure"] == pytest.approx(stored(root, "pressure").mean())
    assert "no statistics of pressure" in caplog.text


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("mean: [1, 2", "is not YAML"),
        ("just words", "does not list"),
        (yaml.safe_dump(table_of(mean={"density": [1.0, 2.0]})), "mean/density"),
        (yaml.safe_dump(table_of(std={"velocity": [1.0, float("nan")]})), "std/velocity"),
        (yaml.safe_dump(table_of(std={"velocity": "broad"})), "std/velocity"),
    ],
)
def test_a_file_that_cannot_be_understood_is_an_error(data_set, content, part):
    root = data_set()
    (root / "stats.yaml").write_text(content)
    with pytest.raises(WellFormatError, match=part) as caught:
        module_of(root).statistics  # noqa: B018
    assert str(root / "stats.yaml") in str(caught.value)


@pytest.mark.parametrize(
    "content", ["# Größe\n".encode("latin-1"), "mean: {density: 1.0}".encode("utf-16")], ids=["latin-1", "utf-16"]
)
def test_a_file_in_another_encoding_is_named(data_set, content):
    path = data_set() / "stats.yaml"
    path.write_bytes(content)
    with pytest.raises(WellFormatError, match=r"stats\.yaml is not text in UTF-8 \(.*\): save it as UTF-8, or delete"):
        _ = module_of(path.parent).statistics
    (issue,) = [issue for issue in check([path.parent]) if issue.severity == "error"]
    assert (issue.path, "UTF-8" in issue.message) == (path, True)


def test_a_file_that_cannot_be_read_is_named(data_set):
    path = data_set() / "stats.yaml"
    path.mkdir()
    with pytest.raises(WellFormatError, match=r"stats\.yaml cannot be read \(Is a directory\)"):
        _ = module_of(path.parent).statistics


@pytest.mark.long
def test_the_file_is_read_as_utf_8_whatever_the_locale(data_set):
    root = data_set()
    path = root / "stats.yaml"
    path.write_bytes("# Größe\n".encode() + yaml.safe_dump(table_of()).encode())
    code = "import pathlib, sys; from fno_lightning.data.hdf5.statistics import read_entries as read"
    command = [sys.executable, "-X", "utf8=0", "-W", "ignore", "-c", f"{code}; print(read(pathlib.Path(sys.argv[1])))"]
    done = subprocess.run(
        [*command, str(path)], env=os.environ | {"LC_ALL": "C"}, capture_output=True, text=True, check=True
    )
    assert yaml.safe_load(done.stdout) == table_of()


def test_numbers_without_a_point_are_numbers(data_set):
    root = data_set()
    text = yaml.safe_dump(table_of(std={"density": "TINY", "velocity": [1.0, "TINY"], "pressure": 1.0, "mask": 1.0}))
    (root / "stats.yaml").write_text(text.replace("TINY", "1e-30"))
    statistics = module_of(root).statistics
    std = dict(zip(module_of(root).spec.fields, statistics.std.tolist(), strict=True))
    assert std["density"] == std["velocity_y"] == pytest.approx(1e-30, rel=1e-6)
    assert not [issue for issue in check([root]) if "expected" in issue.message]


def test_a_folder_that_cannot_be_written_keeps_them_in_memory(data_set, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    root = data_set()
    expected = module_of(root).statistics.std
    (root / "stats.yaml").unlink()

    def refuse(self, *args, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.write_text", refuse)
    assert torch.equal(module_of(root).statistics.std, expected)
    assert not (root / "stats.yaml").exists()
    assert "kept in memory only" in caplog.text


def test_statistics_of_some_files_are_not_saved_as_those_of_all(data_set):
    root = data_set()
    module = module_of(root, include_filters=["a"])
    assert module.statistics.mean[0].item() == pytest.approx(stored(root, "pressure")[:2].mean(), rel=1e-6)
    assert not (root / "stats.yaml").exists()


def test_values_that_are_not_finite_are_an_error(data_set):
    root = data_set()
    with h5py.File(root / "data" / "train" / "b.hdf5", "r+") as file:
        file["t1_fields/velocity"][1, 2, 3, 3, 0] = np.nan
    with pytest.raises(ValueError, match=r"'velocity' holds NaN or infinite values in .*train/b\.hdf5"):
        module_of(root).statistics  # noqa: B018


@pytest.mark.parametrize("subsample", [2, 3])
def test_trajectories_that_are_left_out_do_not_count(data_set, subsample):
    root = data_set(n_trajectories=3)
    data = WellDataModule(root.name, str(root.parent), subsample=subsample)
    windows = [data.rollout_dataset("train")[i] for i in range(len(data.rollout_dataset("train")))]
    assert len(windows) == 6 // subsample
    frames = torch.stack([torch.cat((window.history, window.target)) for window in windows]).double()
    statistics = data.statistics
    torch.testing.assert_close(statistics.mean, frames.mean(dim=(0, 1, 3, 4)))
    torch.testing.assert_close(statistics.std, frames.transpose(0, 2).flatten(1).std(dim=1, correction=0))
    scalars = torch.stack([window.scalars for window in windows]).double()
    torch.testing.assert_close(statistics.scalar_mean, scalars.mean(dim=0))
    constants = torch.stack([window.constants for window in windows]).double()
    torch.testing.assert_close(statistics.constant_mean, constants.mean(dim=(0, 2, 3)))
    assert (root / f"stats_subsample_{subsample}.yaml").exists()
    assert not torch.equal(WellDataModule(root.name, str(root.parent)).statistics.mean, statistics.mean)
