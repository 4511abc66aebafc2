"""Losses that neuralop has too: equality, exact values and limits."""

import math

import pytest
import torch
from neuralop.losses.data_losses import H1Loss, HdivLoss, LpLoss, PointwiseQuantileLoss

from fno_lightning.field_spec import FieldSpec
from fno_lightning.losses import H1, Hdiv, Lp, PointwiseQuantile, RelativeL2

GRIDS = [(12,), (10, 12), (6, 8, 7)]


def pair(grid, n_fields=2):
    generator = torch.Generator().manual_seed(len(grid))
    return tuple(torch.randn(3, 1, n_fields, *grid, generator=generator, dtype=torch.float64) for _ in range(2))


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_lp_is_neuralops(grid, p, reduction):
    prediction, target = pair(grid)
    theirs = LpLoss(d=len(grid), p=int(p), reduction=reduction)
    flat = prediction[:, 0], target[:, 0]
    torch.testing.assert_close(Lp(p, reduction=reduction)(prediction, target), theirs.rel(*flat))
    torch.testing.assert_close(Lp(p, relative=False, reduction=reduction)(prediction, target), theirs.abs(*flat))


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("periodic", [True, False])
def test_h1_is_neuralops(grid, periodic):
    prediction, target = pair(grid)
    lengths = [1.0, 2.0, 0.5][: len(grid)]
    ends = {f"periodic_in_{axis}": periodic for axis in "xyz"}
    theirs = H1Loss(d=len(grid), measure=lengths, reduction="sum", **ends)(prediction[:, 0], target[:, 0])
    own = H1(lengths, [periodic] * len(grid), reduction="sum")(prediction, target)
    torch.testing.assert_close(own, theirs, rtol=1e-6, atol=0)


@pytest.mark.parametrize("periodic", [True, False])
def test_hdiv_is_neuralops_along_one_axis(periodic):
    prediction, target = pair((12,), 1)
    theirs = HdivLoss(d=1, reduction="sum", periodic_in_x=periodic)(prediction[:, 0], target[:, 0])
    own = Hdiv(periodic=[periodic], reduction="sum")(prediction, target)
    torch.testing.assert_close(own, theirs, rtol=1e-6, atol=0)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_quantile_loss_is_neuralops(reduction):
    prediction, target = pair((9, 8), 1)
    theirs = PointwiseQuantileLoss(alpha=0.2, reduction=reduction)(prediction[:, 0], target[:, 0])
    torch.testing.assert_close(PointwiseQuantile(0.8, reduction=reduction)(prediction, target), theirs)


def test_the_quantile_loss_is_minimal_at_the_quantile():
    errors = torch.randn(2001, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    loss = PointwiseQuantile(0.9)
    bounds = torch.linspace(0.5, 3, 501)
    values = torch.stack([loss(torch.full_like(errors, float(bound)), errors) for bound in bounds])
    assert bounds[values.argmin()].item() == pytest.approx(errors.abs().quantile(0.9).item(), abs=0.01)


def test_the_largest_error_and_the_l2_error():
    prediction, target = pair((12,))
    largest = Lp(math.inf, relative=False)(prediction, target)
    torch.testing.assert_close(largest, (prediction - target).abs().amax(dim=3).mean())
    torch.testing.assert_close(Lp()(prediction, target), RelativeL2()(prediction, target))
    assert Lp(relative=False, units="physical").units == "physical"
    assert Lp(units="physical").units == "spreads"


def test_the_divergence_of_a_vector_and_the_error_of_a_scalar():
    spec = FieldSpec("flow", ("pressure", "velocity_x", "velocity_y"), (8, 16), axes=("x", "y"))
    loss = Hdiv()
    loss.bind(spec)
    x, _ = torch.meshgrid(torch.arange(8) / 8, torch.arange(16) / 16, indexing="ij")
    zero = torch.zeros_like(x)
    wave = torch.sin(2 * math.pi * x)
    target = torch.stack([wave, wave, zero])[None, None]
    free = torch.stack([zero, zero, wave])[None, None]
    squares, of_wave = loss.squares(target)[0, 0], wave.square().sum()
    slope = 8 * math.sin(2 * math.pi / 8)  # the central difference of the wave, over the wave turned by 90 degrees
    torch.testing.assert_close(squares, of_wave * torch.tensor([1.0, 1 + slope**2, 1 + slope**2]))
    torch.testing.assert_close(loss.squares(free)[0, 0], of_wave * torch.tensor([0.0, 1.0, 1.0]))


@pytest.mark.parametrize("loss", [Lp(1.0), Lp(), Lp(3.0), Lp(relative=False), H1(), Hdiv(), PointwiseQuantile()])
def test_limits_are_finite(loss):
    for scale in (0.0, 1.0, 1e-20):
        target = scale * torch.ones(1, 1, 1, 8)
        prediction = target.clone().requires_grad_()
        value = loss(prediction, target)
        value.backward()
        assert value.isfinite()
        assert prediction.grad.isfinite().all()
        if not isinstance(loss, PointwiseQuantile):
            assert value == 0
            assert not prediction.grad.any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Lp(0.5), "p of at least 1"),
        (lambda: PointwiseQuantile(1.0), "a quantile is between 0 and 1, got 1.0"),
        (lambda: H1(epsilon=0.0), "epsilon keeps the loss"),
        (lambda: H1(lengths=[1.0])(*pair((4, 4))), r"lengths \[1.0\] must have one entry for each of the 2 axes"),
        (lambda: H1(periodic=[False])(*pair((3,))), "needs 4 points, but the axis has 3"),
        (lambda: Hdiv()(*pair((4, 4), 3)), "takes the fields as the components of one vector"),
        (lambda: Hdiv().bind(FieldSpec("gas", ("density",), (8,))), "Hdiv needs vector fields with a component"),
        (lambda: Hdiv([["u"]]).bind(FieldSpec("gas", ("u", "v"), (8, 8))), r"got \[\['u'\]\] of the fields"),
    ],
)
def test_impossible_losses_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
