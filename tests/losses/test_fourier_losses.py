"""Losses of Fourier coefficients, against sines, sums by hand and neuralop's finite differences."""

import math

import pytest
import torch
from neuralop.losses import H1Loss

from fno_lightning.field_spec import FieldSpec
from fno_lightning.losses import FourierLoss, Sobolev, Spectrum
from fno_lightning.metrics import shell_power


def waves(grid, parts):
    """Sum of sines (amplitude, number of waves along each axis), as ``(1, 1, 1, *grid)``."""
    points = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) / n for n in grid), indexing="ij")
    angles = [sum(k * x for k, x in zip(numbers, points, strict=True)) for _, *numbers in parts]
    fields = [
        amplitude * torch.sin(2 * torch.pi * angle + 0.3) for (amplitude, *_), angle in zip(parts, angles, strict=True)
    ]
    return sum(fields)[None, None, None]


TARGET = [(1.0, 1, 0), (0.5, 2, 1), (0.3, 0, 3)]
PREDICTION = [(1.1, 1, 0), (0.4, 2, 1), (0.3, 0, 3), (0.1, 3, 2)]


def test_sobolev_of_order_1_is_the_h1_error_of_neuralop():
    """On a domain of length 2 pi; its central differences are exact to (k h)^2 / 6."""
    target, prediction = (waves((192, 192), parts) for parts in (TARGET, PREDICTION))
    expected = H1Loss(d=2, measure=[2 * math.pi] * 2).rel(prediction[:, 0], target[:, 0])
    found = Sobolev(1.0, epsilon=1e-9)(prediction, target)
    assert found.item() == pytest.approx(expected.item(), rel=2e-3)


def test_sobolev_of_order_1_has_the_derivatives_of_three_axes():
    """Those of exact sines, by hand."""
    parts = [(1.0, 1, 2, 0), (0.5, 0, 1, 3)]
    target = waves((12, 10, 9), parts)
    squares = [a**2 / 2 * (1 + sum(k**2 for k in numbers)) for a, *numbers in parts]
    found = Sobolev(1.0, epsilon=1e-9)(target - waves((12, 10, 9), parts[1:]), target)
    assert found.item() == pytest.approx(math.sqrt(squares[1] / sum(squares)), rel=1e-6)


@pytest.mark.parametrize("loss", [Sobolev(1.0), Sobolev(-0.5), Spectrum()])
def test_a_resolved_field_has_the_same_loss_on_every_grid(loss):
    values = [loss(waves((n, 2 * n), PREDICTION), waves((n, 2 * n), TARGET)).item() for n in (32, 64)]
    n_octaves = (5, 6) if isinstance(loss, Spectrum) else (1, 1)  # those without power have no error
    assert values[0] * n_octaves[0] == pytest.approx(values[1] * n_octaves[1], rel=1e-9)


@pytest.mark.parametrize("periodic", [(True, True), (False, True), (False, False)])
@pytest.mark.parametrize("grid", [(32, 16), (15, 31)])
def test_octaves_are_those_of_the_shells_of_metrics(grid, periodic):
    generator = torch.Generator().manual_seed(0)
    target, prediction = (torch.randn(2, 1, 1, *grid, generator=generator, dtype=torch.float64) for _ in range(2))
    octaves = torch.tensor([0.25, 2, 4, 8, 99] if max(grid) == 32 else [0.25, 2, 4, 99], dtype=torch.float64)
    edges = 2 * math.pi * (octaves - 1e-6)
    powers = []
    for fields in (prediction, target):
        mirrored = fields
        for axis, wraps in enumerate(periodic, start=3):
            mirrored = mirrored if wraps else torch.cat((mirrored, mirrored.flip(axis)), dim=axis)
        powers.append(shell_power(mirrored, edges, n_dims=2, spacing=[1 / max(grid)] * 2))
    log_ratio = torch.log((powers[0] + 0.1**2) / (powers[1] + 0.1**2))
    expected = ((1 + log_ratio.square()).sqrt() - 1).mean()
    torch.testing.assert_close(Spectrum(0.1, periodic=periodic)(prediction, target), expected)


def test_the_error_of_a_spectrum_is_that_of_its_waves():
    """64 points have octaves from 1, 2, 4, 8 and 16 waves; one wave has a sixth part of the smallest that counts."""
    target = waves((64,), [(1.0, 1), (0.5, 5), (0.4, 16)])
    prediction = waves((64,), [(1.0, 1), (0.25, 7), (0.4, 20), (math.sqrt(2) * 0.001 / 6, 3)])
    floor = 0.001**2
    ratios = [(0.25**2 / 2 + floor) / (0.5**2 / 2 + floor), 1 + 1 / 36]
    expected = sum(math.sqrt(1 + math.log(ratio) ** 2) - 1 for ratio in ratios) / 5
    assert Spectrum(0.001)(prediction, target).item() == pytest.approx(expected, rel=1e-9)


def test_the_spectrum_sees_neither_places_nor_means():
    target = torch.randn(2, 1, 3, 16, 16, dtype=torch.float64)
    moved = target.roll((3, 5), dims=(3, 4)) + 4
    assert Spectrum()(moved, target).item() == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("loss", [Sobolev(), Spectrum(1e-3)])
def test_autocasting_does_not_reach_the_powers(loss):
    target, prediction = (waves((16, 16), parts).float() for parts in (TARGET, PREDICTION))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(prediction, target)
    torch.testing.assert_close(found, loss(prediction, target), rtol=1e-6, atol=0)


def data(periodic):
    """A data set with one field."""
    sides = {True: ("periodic", "periodic"), False: ("wall", "wall")}
    return FieldSpec("waves", ("u",), (16, 12), boundaries=tuple(sides[wraps] for wraps in periodic))


@pytest.mark.parametrize("make", [Sobolev, Spectrum])
def test_the_ends_of_axes_are_those_of_the_data_that_the_loss_is_given(make):
    target, prediction = (waves((16, 12), parts) for parts in (TARGET, PREDICTION))
    loss = make()
    for periodic in ([True, False], [False, True], [True, True]):
        loss.bind(data(periodic))
        assert loss(prediction, target) == make(periodic=periodic)(prediction, target)
    chosen = make(periodic=[True, False])
    chosen.bind(data([True, True]))
    assert chosen(prediction, target) == make(periodic=[True, False])(prediction, target)


@pytest.mark.parametrize("loss", [Sobolev(periodic=[True]), Spectrum(periodic=[True])])
def test_other_numbers_of_axes_are_refused(loss):
    assert isinstance(loss, FourierLoss)
    with pytest.raises(ValueError, match=r"periodic \[True\] must have one entry for each of the 2 axes"):
        loss.bind(data([True, True]))
    with pytest.raises(ValueError, match=r"periodic \[True\] must have one entry for each of the 2 axes"):
        loss(torch.zeros(1, 1, 1, 4, 4), torch.zeros(1, 1, 1, 4, 4))
