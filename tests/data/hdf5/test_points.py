"""Even points: rounding passes, everything else does not."""

import numpy as np
import pytest

from fno_lightning.data.hdf5.points import Points, same_interval, spacing_text, time_text

N = np.arange(64)


def points_of(values, dtype=None):
    values = np.asarray(values) if dtype is None else np.asarray(values).astype(dtype)
    return Points.of_values(values.astype(np.float64), values.dtype)


@pytest.mark.parametrize(
    "values",
    [
        (0.1 * N).astype(np.float32),
        np.cumsum(np.full(64, 0.1, np.float32)),
        (1e6 + 1e-3 * N).astype(np.float32),
        (1e6 + 1e-3 * N).astype(np.float32).astype(np.float64),
        (1e6 + 0.1 * N).astype(np.float32),
        1e6 + 1e-3 * N,
        -1e6 + 1e-3 * N,
        (1e-30 * N).astype(np.float32),
        (N / 64).astype(np.float16),
        np.round(N / 7, 3),
        N,
        -2.5 * N,
        np.zeros(5),
        np.array([3.0]),
        np.array([1.0, 7.0]),
        1e300 * N / 64,
    ],
    ids=range(16),
)
def test_rounding_is_not_unevenness(values):
    assert points_of(values).uneven_row() is None


@pytest.mark.parametrize(
    "values",
    [
        np.cos(np.pi * (N + 0.5) / 64),
        1 - np.cos(np.pi * N / 63),
        1.01**N,
        np.delete(N, 20),
        N + 0.1 * (N == 30),
        1e6 + 1e-3 * (1 - np.cos(np.pi * N / 63)),
        np.array([0.0, 1.0, 3.0]),
        np.array([0.0, 2.0, 1.0, 3.0]),
        1e-30 * N**1.2,
    ],
    ids=range(9),
)
@pytest.mark.parametrize("sign", [1, -1])
def test_unevenness_is_not_rounding(values, sign):
    assert points_of(sign * values).uneven_row() == 0


def test_double_precision_that_single_precision_has_rounded_is_told_from_true_double_precision():
    steps = 1e6 + 1e-3 * (N + 0.3 * np.sin(N))
    assert points_of(steps, np.float64).uneven_row() == 0
    assert points_of(steps, np.float32).uneven_row() is None


def test_every_row_counts_and_a_stride_chooses_points():
    rows = points_of(np.stack([N, N, 1.05**N]))
    assert rows.uneven_row() == 2
    assert rows.differing_row() == 2
    alternating = points_of(N + 0.3 * (N % 2))
    assert alternating.uneven_row() == 0
    assert alternating.uneven_row(stride=2) is None
    assert points_of(np.stack([N, N * (1 + 1e-7)])).differing_row() is None


def test_what_times_have():
    assert time_text(points_of(0.1 * N, np.float32)) is None
    assert time_text(points_of(np.stack([0.1 * N, 0.1 * N + 5]))) is None
    assert time_text(points_of([2.0, 5.0])) is None
    assert time_text(points_of([[2.0], [5.0]])) is None
    assert time_text(points_of([0.0, 1.0, 3.0])) == "frames at uneven times, 1 to 2 apart"
    assert time_text(points_of([[0.0, 1.0, 2.0], [0.0, 1.0, 9.0]])).endswith("1 to 8 apart in trajectory 1")
    different = time_text(points_of(np.stack([0.1 * N, 0.2 * N])))
    assert different == "trajectories with different time steps, 0.1 in trajectory 0 and 0.2 in trajectory 1"


def test_distances_are_those_along_the_axis():
    assert spacing_text(np.array([3.0, 2.0, 0.0])) == "1 to 2 apart"
    assert spacing_text(np.array([0.0, 2.0, 1.0, 3.0])) == "-1 to 2 apart"
    assert same_interval(0.1, float(np.float32(0.1)))
    assert not same_interval(0.1, 0.101)
