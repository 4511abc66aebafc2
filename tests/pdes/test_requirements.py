"""Checks of arguments: they let good values pass, and name bad ones."""

import math

import pytest
import torch

from fno_lightning.pdes.requirements import (
    broken_seeds,
    require_above,
    require_at_least,
    require_finite,
    require_not_negative,
    require_positive,
    require_range,
    require_resolution,
)


def test_good_values_pass():
    require_positive(length=1.0, viscosities=(0.1, 2.0))
    require_range(lower=0.0, upper=1.0, shares=(0.0, 1.0), fixed=(0.5, 0.5))
    require_at_least(1, n_frames=1, refinement=4)
    assert require_resolution([4, 5]) == (4, 5)
    assert require_resolution((8,), n_dims=1, minimum=8) == (8,)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, (1.0, 0.0), (1.0, math.nan), [1.0, -2.0]])
def test_positive(value):
    with pytest.raises(ValueError, match=r"^length is .*, expected positive, finite numbers$"):
        require_positive(width=1.0, length=value)


@pytest.mark.parametrize("value", [1.0, math.inf, (2.0, 0.5), math.nan])
def test_above_a_bound(value):
    require_above(1.0, gammas=(1.1, 2.0))
    with pytest.raises(ValueError, match=r"^gammas is .*, expected finite numbers above 1$"):
        require_above(1.0, gammas=value)


@pytest.mark.parametrize("value", [-1e-9, math.inf, math.nan])
def test_not_negative(value):
    require_not_negative(drag=0.0)
    with pytest.raises(ValueError, match=r"^drag is .*, expected finite numbers of at least 0$"):
        require_not_negative(drag=value)


def test_finite():
    require_finite(velocity=-3.0)
    with pytest.raises(ValueError, match=r"^velocity is nan, expected finite numbers$"):
        require_finite(velocity=math.nan)


def test_an_empty_sequence_is_named():
    with pytest.raises(ValueError, match="lengths is empty"):
        require_positive(lengths=())


@pytest.mark.parametrize("value", [(1.0, 0.0), (math.nan, 1.0), (0.0, math.inf)])
def test_ranges_in_order(value):
    with pytest.raises(ValueError, match=r"^share is .*lowest <= highest"):
        require_range(share=value)


@pytest.mark.parametrize("value", [(-0.1, 0.5), (0.5, 1.1)])
def test_ranges_within_bounds(value):
    with pytest.raises(ValueError, match=r"^share is .*must lie within 0 and 1"):
        require_range(lower=0.0, upper=1.0, share=value)


def test_at_least():
    with pytest.raises(ValueError, match=r"^n_frames is 1, expected at least 2$"):
        require_at_least(2, n_steps=2, n_frames=1)


@pytest.mark.parametrize(
    ("resolution", "options", "message"),
    [
        ((), {}, "at least 4 points"),
        ((8, 3), {}, r"resolution is \[8, 3\], expected at least 4 points"),
        ((8,), {"minimum": 16}, "at least 16 points"),
        ((8, 8), {"n_dims": 1}, "expected 1 numbers of points"),
    ],
)
def test_resolution(resolution, options, message):
    with pytest.raises(ValueError, match=message):
        require_resolution(resolution, **options)


def test_broken_trajectories_are_named_by_their_seeds():
    assert broken_seeds(torch.tensor([True, False, False]), [5, 7, 9]) == [7, 9]
    assert broken_seeds(torch.tensor([True, True]), range(2)) == []
