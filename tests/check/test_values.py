import h5py
import numpy as np
import pytest
import torch

from fno_lightning.check import check, check_file
from fno_lightning.check.values import find_frozen
from fno_lightning.data import write_well_file

DENSITY, VELOCITY = "/t0_fields/density", "/t1_fields/velocity"


def set_values(*changes):
    """Sets parts of data sets: name, index, value."""

    def change(file):
        for name, index, value in changes:
            file[name][index] = value

    return change


def repeat_frame(name, trajectory, frame):
    def change(file):
        file[name][trajectory, frame] = file[name][trajectory, frame - 1]

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            set_values((DENSITY, (1, 4, 2, 1), np.nan), (DENSITY, (1, 6, 0), np.nan), (DENSITY, (0, 3, 0, 0), -np.inf)),
            ("error", DENSITY, "not finite: 5 NaN and 1 infinite, the first in trajectory 0, frame 3;"),
        ),
        (
            set_values(("/t0_fields/mask", (1, 0, 0), np.nan)),
            ("error", "/t0_fields/mask", "not finite: 1 NaN, the first in trajectory 1;"),
        ),
        (
            set_values((VELOCITY, (1, 7, 0, 0, 1), np.inf)),
            ("error", VELOCITY, "not finite: 1 infinite, the first in trajectory 1, frame 7;"),
        ),
        (
            set_values((DENSITY, (1, 3), 0.0), (DENSITY, (1, 5), 0.0)),
            ("error", DENSITY, "'density' has one value everywhere in 2 of 16", "trajectory 1, frame 3", "next to"),
        ),
        (
            set_values((DENSITY, (0, slice(5, None)), 0.0)),
            ("error", DENSITY, "one value everywhere in 3 of 16", "trajectory 0, frame 5", "next to"),
        ),
        (
            set_values((VELOCITY, (0, 4, ..., 1), 2.0)),
            ("error", VELOCITY, "'velocity_y' has one value everywhere in 1 of 16", "trajectory 0, frame 4"),
        ),
        (
            repeat_frame(VELOCITY, 1, 4),
            ("error", VELOCITY, "equals the frame before to the last bit in 1 of 16", "trajectory 1, frame 4"),
        ),
        (repeat_frame(DENSITY, 0, 7), ("error", DENSITY, "equals the frame before", "trajectory 0, frame 7")),
        (repeat_frame(DENSITY, 0, 1), ("error", DENSITY, "equals the frame before", "trajectory 0, frame 1")),
        (
            set_values((VELOCITY, (0, 0, ..., 1), 0.0), (VELOCITY, (1, 0, ..., 1), 0.0)),
            (
                "warning",
                VELOCITY,
                "'velocity_y'",
                "2 of 16 frames",
                "trajectory 0, frame 0",
                "check that this is meant",
            ),
        ),
        (
            set_values((VELOCITY, (..., 1), 0.0)),
            ("warning", VELOCITY, "'velocity_y' has one value everywhere, in all trajectories and frames"),
        ),
        (
            set_values((VELOCITY, (1, ..., 1), 0.0)),
            (
                "warning",
                VELOCITY,
                "'velocity_y'",
                "8 of 16 frames (the first: trajectory 1, frame 0): check that this is meant",
            ),
        ),
        (
            set_values(*[(DENSITY, (slice(None), frame, slice(None)), np.arange(4.0)) for frame in range(8)]),
            ("warning", DENSITY, "does not change in time", "time_varying = False"),
        ),
    ],
)
def test_a_fault(break_file, change, expected, assert_found):
    assert_found(break_file(change), expected)


@pytest.mark.parametrize("chunk_bytes", [1, 300])
def test_what_is_found_does_not_depend_on_how_much_is_read_at_a_time(
    break_file, good_file, monkeypatch, chunk_bytes, assert_found
):
    expected = break_file(
        set_values((DENSITY, (1, 3), 0.0), (VELOCITY, (1, 6, 0, 0, 0), np.nan)),
        *(repeat_frame("/t0_fields/pressure", 0, frame) for frame in (3, 4, 7)),
    )
    assert_found(
        expected,
        ("error", VELOCITY, "1 NaN", "trajectory 1, frame 6"),
        ("error", DENSITY, "'density' has one value", "trajectory 1, frame 3"),
        ("error", "/t0_fields/pressure", "equals the frame before", "3 of 16", "trajectory 0, frame 3"),
    )
    monkeypatch.setattr("fno_lightning.data.hdf5.blocks.BLOCK_BYTES", chunk_bytes)
    assert check_file(good_file) == expected


def test_a_trajectory_that_was_never_written(break_file, assert_found):
    names = (DENSITY, VELOCITY, "/t0_fields/pressure")
    faults = break_file(set_values(*[(name, 1, 0.0) for name in names]))
    assert_found(
        faults,
        ("error", "/", "no time-dependent field that changes in time in 1 of 2 trajectories", "the first: 1"),
        ("error", "/", "no time-dependent field that varies in space in 1 of 2 trajectories"),
        ("warning", DENSITY, "8 of 16 frames"),
        ("warning", "/t0_fields/pressure", "8 of 16 frames"),
        ("warning", VELOCITY, "velocity_x", "8 of 16 frames"),
        ("warning", VELOCITY, "velocity_y", "8 of 16 frames"),
    )


def test_uniform_frames_are_not_told_twice(break_file, assert_found):
    faults = break_file(set_values((DENSITY, (0, slice(5, None)), 0.0)), repeat_frame(DENSITY, 1, 4))
    assert_found(
        faults,
        ("error", DENSITY, "one value everywhere in 3 of 16 frames", "trajectory 0, frame 5"),
        ("error", DENSITY, "equals the frame before to the last bit in 1 of 16 frames", "trajectory 1, frame 4"),
    )


def test_a_field_may_come_to_rest(tmp_path, random_trajectories, assert_found):
    """As the patterns of Gray and Scott's reaction do, which die out or freeze."""
    trajectories = random_trajectories((6, 4))
    density, pressure = (trajectories.scalar_fields[name][0] for name in ("density", "pressure"))
    decay = torch.tensor([1, 1e-1, 1e-2, 1e-5, 0, 0, 0, 0]).view(8, 1, 1)
    density.mul_(decay).add_(1)
    pressure.copy_(pressure[0] + decay)
    path = tmp_path / "a.hdf5"
    write_well_file(path, trajectories, dataset_name="some")
    assert_found(
        check_file(path),
        ("warning", DENSITY, "one value everywhere in 4 of 16 frames", "frame 4", "check that this is meant"),
        (
            "warning",
            "/t0_fields/pressure",
            "equals the frame before",
            "3 of 16 frames",
            "frame 5",
            "check that this is meant",
        ),
    )


def test_values_that_cannot_be_read(break_file, good_file, replace_values, assert_found):
    values = np.random.default_rng(0).standard_normal((2, 8, 6, 4)).astype(np.float32)
    assert break_file(replace_values(DENSITY, values, chunks=(1, 8, 6, 4), compression="gzip")) == []
    with h5py.File(good_file) as file:
        chunk = file[DENSITY].id.get_chunk_info(1)
    with good_file.open("r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(bytes(chunk.size))
    assert_found(check_file(good_file), ("error", DENSITY, "cannot be read", "download the file again"))


@pytest.mark.parametrize(
    ("activity", "sudden", "gradual"),
    [
        ([1, 2, 3], [], []),
        ([0, 0, 0], [], []),
        ([1, 0, 1, 1], [1], []),
        ([1, 0, 0, 1e-6], [], [1, 2]),
        ([1, 1e-4, 0, 1], [], [2]),
        ([1, 1, 0, 0], [2, 3], []),
        ([0, 1, 1e-4, 0, 0], [0], [3, 4]),
        ([0, 1, np.nan, 0, 1], [0], [3]),
    ],
)
def test_frozen_frames(activity, sudden, gradual):
    found = find_frozen(np.array(activity, dtype=float))
    assert [np.flatnonzero(frames).tolist() for frames in found] == [sudden, gradual]


def test_a_field_of_booleans(break_file, replace_values, good_file):
    values = np.random.default_rng(0).random((2, 8, 6, 4)) > 0.5
    assert [issue.severity for issue in break_file(replace_values("t0_fields/pressure", values))] == ["warning"]
    assert [issue.severity for issue in check([good_file.parent])] == ["warning"]
