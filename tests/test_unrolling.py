from collections import Counter

import pytest

from fno_lightning.unrolling import Pushforward, Unrolled


def test_the_horizon_grows_by_one_after_equal_times():
    unrolling = Unrolled(max_steps=4, begin=0.2, end=0.6)
    horizons = [unrolling.horizon(8, (i + 0.5) / 100, 0.0).n_applications for i in range(100)]
    assert horizons == [1] * 30 + [2] * 10 + [3] * 10 + [4] * 50


def test_without_a_curriculum_the_horizon_is_that_of_the_target():
    assert Unrolled(end=0.0).horizon(5, 0.0, 0.5) == (5, 0)
    assert Unrolled(end=0.0, max_steps=3).horizon(5, 0.0, 0.5) == (3, 0)


@pytest.mark.parametrize(("gradient_steps", "expected"), [(1, (4, 3)), (3, (4, 1)), (4, (4, 0)), (9, (4, 0))])
def test_the_gradient_goes_through_the_last_steps(gradient_steps, expected):
    assert Unrolled(end=0.0, gradient_steps=gradient_steps).horizon(4, 1.0, 0.0) == expected


def test_nothing_is_pushed_forward_before_the_beginning():
    unrolling = Pushforward(begin=0.2)
    assert {unrolling.horizon(4, 0.2, draw / 10) for draw in range(10)} == {(1, 0)}


@pytest.mark.parametrize(("progress", "part"), [(0.2, 0.0), (0.6, 0.5), (1.0, 1.0), (2.0, 1.0)])
def test_draws_have_the_probabilities_of_the_progress(progress, part):
    unrolling = Pushforward(probabilities=[0.4, 0.2, 0.2, 0.2], begin=0.2, end=1.0)
    counts = Counter(unrolling.horizon(4, progress, (i + 0.5) / 1000) for i in range(1000))
    expected = [1 - part + part * 0.4, part * 0.2, part * 0.2, part * 0.2]
    assert [counts[k + 1, k] / 1000 for k in range(4)] == pytest.approx(expected, abs=1e-3)


def test_probabilities_are_scaled_and_zero_ones_never_drawn():
    unrolling = Pushforward([0, 3, 0, 1], begin=0.0, end=0.0, gradient_steps=2)
    counts = Counter(unrolling.horizon(8, 0.0, (i + 0.5) / 100) for i in range(100))
    assert counts == {(3, 1): 75, (5, 3): 25}
    assert unrolling.longest == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probabilities": []}, r"at least 0 and not all 0, got \[\]"),
        ({"probabilities": [0.5, -0.5]}, "at least 0 and not all 0"),
        ({"probabilities": [0, 0]}, "not all 0"),
        ({"probabilities": [1, float("inf")]}, "at least 0"),
        ({"begin": 0.5, "end": 0.2}, "0 <= begin <= end <= 1, got 0.5 and 0.2"),
        ({"begin": -0.1}, "0 <= begin"),
        ({"gradient_steps": 0}, "gradient_steps must be at least 1, got 0"),
    ],
)
def test_impossible_options_of_a_pushforward_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Pushforward(**options)


@pytest.mark.parametrize(
    ("options", "message"), [({"max_steps": 0}, "max_steps must be at least 1"), ({"end": 1.5}, "0 <= begin")]
)
def test_impossible_options_of_unrolling_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Unrolled(**options)
