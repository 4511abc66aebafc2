import itertools

import pytest
from the_well.data.utils import raw_steps_to_possible_sample_t0s

from fno_lightning.data.windows import SlidingWindows, TrajectoryKey, Window, n_windows, whole_trajectories


@pytest.mark.parametrize(
    ("n_frames", "n_in", "n_out", "stride"), list(itertools.product((1, 5, 20), (1, 4), (1, 3), (1, 2, 3)))
)
def test_as_many_windows_as_the_well_counts(n_frames, n_in, n_out, stride):
    assert n_windows(n_frames, n_in + n_out, stride) == raw_steps_to_possible_sample_t0s(n_frames, n_in, n_out, stride)


@pytest.mark.parametrize(("dt_stride", "window_stride"), [(1, 1), (2, 1), (1, 3), (2, 3)])
def test_windows_are_all_that_fit(dt_stride, window_stride):
    keys = [TrajectoryKey(0, 0, 9), TrajectoryKey(0, 1, 9), TrajectoryKey(1, 0, 4), TrajectoryKey(2, 0, 12)]
    windows = SlidingWindows(keys, 2, 1, dt_stride, window_stride)
    expected = [
        Window(file, trajectory, start, 1)
        for file, trajectory, n_frames in keys
        for start in range(0, n_frames, window_stride)
        if start + 2 * dt_stride < n_frames
    ]
    assert list(windows) == expected
    assert len(windows) == len(expected)
    assert windows[-1] == expected[-1]
    assert windows[1:5] == expected[1:5]


def test_a_window_past_the_end_is_an_index_error():
    windows = SlidingWindows([TrajectoryKey(0, 0, 4)], 2, 1)
    with pytest.raises(IndexError):
        windows[2]


def test_a_steady_problem_has_one_window_for_each_frame():
    assert list(SlidingWindows([TrajectoryKey(0, 3, 1)], 0, 1)) == [Window(0, 3, 0, 1)]


def test_whole_trajectories_end_with_the_last_frame_unless_capped():
    keys = [TrajectoryKey(0, 0, 10), TrajectoryKey(0, 1, 7)]
    assert [window.n_steps_output for window in whole_trajectories(keys, 4)] == [6, 3]
    assert [window.n_steps_output for window in whole_trajectories(keys, 4, max_steps=5)] == [5, 3]


@pytest.mark.parametrize(("n_frames", "dt_stride"), list(itertools.product(range(5, 14), (1, 2, 3))))
def test_whole_trajectories_use_every_frame_that_the_stride_reaches(n_frames, dt_stride):
    (window,) = whole_trajectories([TrajectoryKey(0, 0, n_frames)], 2, dt_stride)
    assert 2 + window.n_steps_output == len(range(0, n_frames, dt_stride))
