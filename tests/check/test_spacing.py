"""Warnings of axes and times that networks do not take as they are, and of periods that close twice."""

import h5py
import numpy as np
import pytest
import torch

from fno_lightning.check import check_data_set, check_file
from fno_lightning.data import write_well_file
from fno_lightning.pdes import Trajectories


def of_each(replace_values, name, *rows):
    def change(file):
        replace_values(name, np.stack(rows))(file)
        file[name].attrs["sample_varying"] = True

    return change


@pytest.mark.parametrize(
    "points", [np.array([0.0, 0.1, 0.5, 1.0]), np.array([1.0, 0.5, 0.1, 0.0])], ids=["increasing", "decreasing"]
)
def test_uneven_axes(break_file, replace_values, assert_found, points):
    expected = ("warning", "/dimensions/y", "not evenly spaced, 0.1 to 0.5 apart", "FNOModule", "resample: uniform")
    assert_found(break_file(replace_values("dimensions/y", points)), expected)


def test_an_uneven_axis_of_one_trajectory(break_file, replace_values, assert_found):
    even, uneven = np.arange(4) / 4, np.array([0.0, 0.1, 0.5, 1.0])
    assert_found(
        break_file(of_each(replace_values, "dimensions/y", even, uneven)),
        ("warning", "/dimensions/y", "0.1 to 0.5 apart in trajectory 1"),
        ("warning", "/dimensions/y", "other coordinates in trajectory 1 than in trajectory 0"),
    )


def test_uneven_times(break_file, replace_values, assert_found):
    times = replace_values("dimensions/time", np.arange(8.0) ** 2)
    expected = ("warning", "/dimensions/time", "frames at uneven times, 1 to 13 apart", "uneven_time is 'ignore'")
    assert_found(break_file(times), expected)


def test_time_steps_of_each_trajectory(break_file, replace_values, assert_found):
    times = of_each(replace_values, "dimensions/time", np.arange(8), 3 * np.arange(8))
    assert_found(break_file(times), ("warning", "/dimensions/time", "1 in trajectory 0 and 3 in trajectory 1"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_rounding_is_no_issue(break_file, replace_values, dtype):
    offset = 0 if dtype == np.float16 else 1e3
    changes = (
        replace_values("dimensions/y", (offset + 0.1 * np.arange(4)).astype(dtype)),
        replace_values("dimensions/x", (0.1 * np.arange(6)).astype(dtype)),
        replace_values("dimensions/time", (offset + 0.1 * np.arange(8)).astype(dtype)),
    )
    assert break_file(*changes) == []


def test_coordinates_out_of_order_are_not_called_uneven_too(break_file, replace_values, assert_found):
    expected = ("error", "/dimensions/y", "only increase or only decrease")
    assert_found(break_file(replace_values("dimensions/y", np.array([0.0, 2.0, 1.0, 3.0]))), expected)


@pytest.mark.parametrize("split", ["train", "test"])
def test_another_interval_in_a_split_and_between_splits(data_set, write_statistics, assert_found, split):
    root = data_set()
    write_statistics(root)
    with h5py.File(root / "data" / split / "b.hdf5", "r+") as file:
        file["dimensions/time"][...] *= 3
    expected = ("warning", "/dimensions/time", "frame interval 0.75, but", "has 0.25: fit warns of it")
    assert_found(check_data_set(root), expected)


def write_wave(path, x, *, boundary="periodic", wave=np.sin, dtype=np.float32, offset=0.0):
    """Write waves that run around a circle of circumference 1, in x, with a wall-bounded axis y."""
    t, y = 0.1 * np.arange(4), np.linspace(0, 1, 5)
    fields = wave(2 * np.pi * (x[:, None] - t[:, None, None]) + 0.4) * np.cos(y) + offset
    trajectories = Trajectories(
        time=torch.from_numpy(t),
        coordinates={"x": torch.from_numpy(x), "y": torch.from_numpy(y)},
        boundaries={"x": (boundary, boundary), "y": ("wall", "wall")},
        scalars={},
        scalar_fields={"height": torch.from_numpy(np.stack([fields, 2 * fields]).astype(dtype))},
        constant_fields={"depth": torch.ones(2, len(x), 5)},
    )
    write_well_file(path, trajectories, dataset_name="some")
    return check_file(path)


@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_a_period_that_holds_a_point_twice(tmp_path, assert_found, offset):
    issues = write_wave(tmp_path / "a.hdf5", np.linspace(0, 1, 17), offset=offset)
    assert_found(issues, ("warning", "/dimensions/x", "hold one point twice", "without the last point"))


def test_a_period_that_holds_each_point_once(tmp_path):
    assert write_wave(tmp_path / "a.hdf5", np.arange(16) / 16) == []
    assert write_wave(tmp_path / "b.hdf5", (np.arange(16) + 0.5) / 16, wave=np.cos) == []
    assert write_wave(tmp_path / "c.hdf5", np.linspace(0, 1, 17), boundary="open") == []


def test_symmetric_fields_say_nothing_about_the_period(tmp_path):
    x = (np.arange(16) + 0.5) / 16
    standing = lambda phase: np.cos(2 * np.pi * x)[:, None] * np.ones_like(phase)  # noqa: E731
    assert not [issue for issue in write_wave(tmp_path / "a.hdf5", x, wave=standing) if "dimensions" in issue.location]
