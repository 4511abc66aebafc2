import math

import pytest
import torch
from neuralop.losses import LpLoss

from fno_lightning.field_spec import FieldSpec
from fno_lightning.losses import (
    MSE,
    RMSE,
    VRMSE,
    MeanFluctuation,
    RelativeL2,
    Sobolev,
    SoftAdapt,
    Spectrum,
    WeightedSum,
)
from fno_lightning.losses.base import units_of_ratio
from fno_lightning.metrics import rmse, vrmse

LOSSES = [
    MSE(),
    RelativeL2(),
    RMSE(),
    VRMSE(),
    MeanFluctuation(),
    Sobolev(),
    Sobolev(-1.0),
    Spectrum(),
    WeightedSum([VRMSE(), Spectrum()], [1.0, 0.1]),
    SoftAdapt([VRMSE(), Spectrum()], [1.0, 0.1]).eval(),  # in training it has a state
]
NAMES = [f"{type(loss).__name__}{getattr(loss, 'order', '')}" for loss in LOSSES]


@pytest.fixture(params=[(17,), (8, 6), (4, 5, 6)], ids=["1-D", "2-D", "3-D"])
def fields(request):
    generator = torch.Generator().manual_seed(0)
    shape = (3, 2, 4, *request.param)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2)]


def test_mse_is_that_of_torch(fields):
    torch.testing.assert_close(MSE()(*fields), torch.nn.functional.mse_loss(*fields))


def test_relative_l2_is_that_of_neuralop(fields):
    prediction, target = fields
    n_norms = prediction.shape[:3].numel()
    summed = LpLoss(d=prediction.ndim - 3, p=2)(prediction, target)
    torch.testing.assert_close(RelativeL2()(prediction, target), summed / n_norms)


def test_relative_l2_of_a_scaled_target_is_the_scale(fields):
    _, target = fields
    scale = torch.tensor([1e-2, 1.0, 1e4]).view(3, *(1,) * (target.ndim - 1))
    torch.testing.assert_close(
        RelativeL2()(1.25 * scale * target, scale * target), torch.tensor(0.25).double(), rtol=1e-6, atol=0
    )


def test_rmse_and_vrmse_are_the_metrics_of_the_well(fields):
    prediction, target = fields
    n_dims = target.ndim - 3
    torch.testing.assert_close(RMSE(epsilon=1e-9)(*fields), rmse(prediction, target, n_dims).mean())
    found = VRMSE(smallest=1e-9, epsilon=1e-9)(*fields)
    torch.testing.assert_close(found, vrmse(prediction, target, n_dims).mean(), rtol=1e-6, atol=0)


def test_mean_and_fluctuation_are_compared_apart():
    x = torch.arange(32, dtype=torch.float64) / 32
    target = torch.sin(2 * torch.pi * x).view(1, 1, 1, -1)
    loss = MeanFluctuation(mean_weight=0.5, smallest=1e-9, epsilon=1e-9)
    spread = target.std()
    torch.testing.assert_close(loss(target + 3.0, target), 0.5 * 3.0 / spread)
    torch.testing.assert_close(loss(1.5 * target + 3.0, target), 0.5 * 3.0 / spread + 0.5 * math.sqrt(31 / 32))


def test_a_small_fluctuation_of_the_error_is_seen_beside_a_large_mean():
    x = torch.arange(32) / 32
    target = torch.sin(2 * torch.pi * x).view(1, 1, 1, -1)
    error = 1e-3 * torch.cos(4 * torch.pi * x)
    found = MeanFluctuation(mean_weight=0.0, smallest=1e-9, epsilon=1e-9)(target + 10 + error, target)
    assert found.item() == pytest.approx(1e-3 * math.sqrt(31 / 32), rel=1e-3)


@pytest.mark.parametrize("order", [-1.0, 0.0, 0.5, 2.0])
@pytest.mark.parametrize("n", [24, 25])
def test_sobolev_weighs_waves_by_their_number(order, n):
    """By Parseval's theorem a wave of amplitude a, with k waves, has the square a² / 2 (1 + k²)^s."""
    x, y = (torch.arange(m, dtype=torch.float64) / m for m in (n, n + 3))
    waves = [(1.0, 2, 0), (0.5, 3, 4), (0.25, 0, 7)]
    parts = [a * torch.sin(2 * torch.pi * (k * x[:, None] + m * y)) for a, k, m in waves]
    squares = [a**2 / 2 * (1 + k**2 + m**2) ** order for a, k, m in waves]
    target, error = sum(parts), parts[1] + parts[2]
    expected = math.sqrt(sum(squares[1:]) / sum(squares))
    found = Sobolev(order, epsilon=1e-6)((target - error)[None, None, None], target[None, None, None])
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_sobolev_of_order_0_is_the_relative_l2_error(fields):
    torch.testing.assert_close(Sobolev(0.0, epsilon=1e-7)(*fields), RelativeL2()(*fields), rtol=1e-6, atol=0)


def test_sobolev_continues_fields_evenly_over_ends():
    """cos(pi k x) on [0, 1] has k / 2 waves, and no edge."""
    x = (torch.arange(32, dtype=torch.float64) + 0.5) / 32
    target, error = torch.cos(torch.pi * x), 0.1 * torch.cos(3 * torch.pi * x)
    loss = Sobolev(1.0, epsilon=1e-7, periodic=[False])
    expected = 0.1 * math.sqrt((1 + 1.5**2) / (1 + 0.5**2))
    assert loss((target + error).view(1, 1, 1, -1), target.view(1, 1, 1, -1)).item() == pytest.approx(
        expected, rel=1e-4
    )


def test_weights_by_field_are_a_weighted_mean(fields):
    prediction, target = fields
    names = ["a", "b", "c", "d"]
    for make in (MSE, RMSE, VRMSE, RelativeL2, Sobolev, MeanFluctuation, Spectrum):
        loss = make(weights={"b": 3.0, "d": 0.0})
        loss.bind(FieldSpec("waves", tuple(names), tuple(target.shape[3:])))
        one = make()
        parts = [one(prediction[:, :, i : i + 1], target[:, :, i : i + 1]) for i in range(4)]
        torch.testing.assert_close(loss(*fields), (parts[0] + 3 * parts[1] + parts[2]) / 5)
        assert not loss.state_dict()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"presure": 2.0}, r"the fields \['presure'\], but the data have \['density', 'pressure'\]"),
        ({"pressure": -1.0}, "at least 0"),
        ({"pressure": 0.0, "density": 0}, "nothing would be trained"),
    ],
)
def test_impossible_weights_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        VRMSE(weights=weights).bind(FieldSpec("gas", ("density", "pressure"), (8,)))


@pytest.mark.parametrize("options", [{"smallest": 0.0}, {"epsilon": 0.0}, {"mean_weight": -1.0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        MeanFluctuation(**options)


def test_other_units_than_these_two_are_refused():
    with pytest.raises(ValueError, match="units of a loss are normalized or physical, got 'metric'"):
        units_of_ratio("metric")


@pytest.mark.parametrize("loss", LOSSES, ids=NAMES)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 2, 3, 8), (2, 1, 1, 4, 4)])
def test_constant_fields_and_single_samples_have_a_finite_loss(loss, shape):
    prediction = torch.full(shape, 0.5, requires_grad=True)
    for target in (torch.zeros(shape), torch.full(shape, 0.5), torch.full(shape, -2.0)):
        value = loss(prediction, target)
        (gradient,) = torch.autograd.grad(value, prediction)
        assert value.isfinite()
        assert gradient.isfinite().all()


def test_the_limit_of_vrmse_on_a_constant_field_is_the_documented_one():
    target = torch.full((1, 1, 1, 8), 2.0, dtype=torch.float64)
    assert VRMSE(smallest=0.05, epsilon=1e-9)(target + 0.1, target).item() == pytest.approx(0.1 / 0.05)


@pytest.mark.parametrize("loss", LOSSES, ids=NAMES)
def test_a_perfect_prediction_has_no_loss_and_a_finite_gradient(fields, loss):
    _, target = fields
    prediction = target.clone().requires_grad_()
    value = loss(prediction, target)
    value.backward()
    assert value == 0
    assert torch.equal(prediction.grad, torch.zeros_like(target))


def test_gradients_are_those_of_finite_differences(fields):
    prediction, target = (f[:1, :1, :2, ..., :4] for f in fields)
    prediction = prediction.requires_grad_()
    for loss in LOSSES:
        assert torch.autograd.gradcheck(lambda p, loss=loss: loss(p, target), prediction)


def test_relative_l2_does_not_overflow_in_half_precision():
    target = torch.full((1, 1, 1, 256, 256), 8.0, dtype=torch.float16)
    assert RelativeL2()(1.5 * target, target).item() == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("loss", LOSSES[1:], ids=NAMES[1:])  # MSE is torch's
def test_losses_of_half_precision_are_accumulated_in_float32(loss, dtype):
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(2, 1, 2, 64, 64, generator=generator).to(dtype)
    prediction = (2 * target).to(dtype)
    found = loss(prediction, target)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), loss(prediction.double(), target.double()), rtol=1e-5, atol=0)


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("loss", LOSSES, ids=NAMES)
def test_one_graph_compiles_a_loss(loss):
    generator = torch.Generator().manual_seed(0)
    prediction, target = (torch.randn(2, 1, 2, 8, 6, generator=generator, requires_grad=True) for _ in range(2))
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    found, expected = (torch.autograd.grad(function(prediction, target), prediction) for function in (compiled, loss))
    torch.testing.assert_close(found, expected)


def test_a_mixed_precision_prediction_keeps_its_gradient():
    target = torch.randn(2, 1, 1, 8)
    prediction = torch.randn(2, 1, 1, 8, dtype=torch.bfloat16, requires_grad=True)
    for loss in LOSSES:
        loss(prediction, target).backward()
        assert prediction.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("loss", LOSSES, ids=NAMES)
def test_the_mean_over_nothing_is_refused(loss):
    with pytest.raises(ValueError, match=r"compares fields of one shape that are not empty, got a prediction \(0, 1, "):
        loss(*torch.zeros(2, 0, 1, 1, 8, 8))


def test_fields_that_would_be_broadcast_are_refused():
    """As the shapes of all losses are, and here even without the check of annotations in the tests."""
    with pytest.raises(ValueError, match=r"got a prediction \(2, 1, 1, 8\) and a target \(1, 1, 1, 8\)"):
        MSE().require_same_shape(torch.zeros(2, 1, 1, 8), torch.zeros(1, 1, 1, 8))
