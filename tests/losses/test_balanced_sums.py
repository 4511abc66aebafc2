"""Weights that follow the losses: against plain loops in NumPy, and neuralop's aggregators where these are right."""

import itertools

import numpy as np
import pytest
import torch
from neuralop.losses.meta_losses import Relobralo
from neuralop.losses.meta_losses import SoftAdapt as NeuralopSoftAdapt

from fno_lightning.field_spec import FieldSpec
from fno_lightning.losses import (
    MSE,
    RMSE,
    VRMSE,
    BalancedSum,
    ByField,
    InverseGradientNorm,
    Loss,
    ReLoBRaLo,
    SoftAdapt,
    WeightedSum,
)
from fno_lightning.losses.soft_adapt import require_rate


class Prescribed(Loss):
    """A loss whose values are prescribed: the mean of the prediction of one field."""

    def __init__(self, field):
        super().__init__()
        self.field = field

    def forward(self, prediction, target):
        return prediction[:, :, self.field].mean()


def sequence(n_steps=30, n_terms=3):
    """Losses that fall at different rates, with noise, from different sizes: ``(step, term)``."""
    rng = np.random.default_rng(0)
    rates = np.linspace(0.02, 0.2, n_terms)
    return 10.0 ** np.arange(0, -2 * n_terms, -2) * np.exp(
        -rates * np.arange(n_steps)[:, None] + 0.3 * rng.standard_normal((n_steps, n_terms))
    )


def fed(loss, values):
    """Feed a sum of prescribed losses; return its weights and its value at each step."""
    weights, totals = [], []
    for step in torch.tensor(values):
        prediction = step.view(1, 1, -1, 1).clone().requires_grad_()
        totals.append(loss(prediction, prediction.detach()).item())
        weights.append(loss.weights.clone().numpy())
    return np.stack(weights), np.array(totals)


def prescribed(kind, n_terms=3, **options):
    return kind([Prescribed(i) for i in range(n_terms)], **options)


def softmax(scores):
    powers = np.exp(scores - scores.max())
    return len(scores) * powers / powers.sum()


def soft_adapt(values, temperature, rate):
    weights = [np.ones(values.shape[1])]
    for before, now in itertools.pairwise(values):
        weights.append(softmax((now / before if rate == "relative" else now - before) / temperature))
    return np.stack(weights)


@pytest.mark.parametrize(("temperature", "rate"), [(1.0, "relative"), (0.1, "relative"), (0.5, "absolute")])
def test_soft_adapt_is_a_plain_loop(temperature, rate):
    values = sequence()
    weights, totals = fed(prescribed(SoftAdapt, temperature=temperature, rate=rate), values)
    expected = soft_adapt(values, temperature, rate)
    np.testing.assert_allclose(weights, expected, rtol=1e-12)
    np.testing.assert_allclose(totals, (expected * values).sum(axis=1), rtol=1e-12)
    assert np.ptp(weights) > 0.1


def neuralops(reference, values):
    """Weights and sums of an aggregator of neuralop's."""
    named = (dict(zip("abcdef", losses, strict=False)) for losses in torch.tensor(values))
    totals, weights = zip(*(reference(losses, step) for step, losses in enumerate(named)), strict=True)
    return torch.stack(weights).numpy(), torch.stack(totals).numpy()


def test_soft_adapt_is_that_of_neuralop():
    values = sequence()
    _, expected = neuralops(NeuralopSoftAdapt([torch.zeros(1)], 3, eps=1e-30).double(), values)
    _, totals = fed(prescribed(SoftAdapt), values)
    np.testing.assert_allclose(totals, expected, rtol=1e-6)  # neuralop sums in float32


def relobralo(values, temperature, alpha, lookbacks):
    weights = [np.ones(values.shape[1])]
    for before, now, looks_back in zip(values[:-1], values[1:], lookbacks[1:], strict=True):
        since_first, since_last = (softmax(now / former / temperature) for former in (values[0], before))
        remembered = since_first if looks_back else weights[-1]
        weights.append(alpha * remembered + (1 - alpha) * since_last)
    return np.stack(weights)


def lookbacks(loss, n_steps):
    """Draw anew what the loss draws, from Park, Miller and Stockmeyer's generator."""
    state, drawn = int(loss.random), []
    for _ in range(n_steps):
        state = 48271 * state % (2**31 - 1)
        drawn.append(state / (2**31 - 1) >= loss.rho)
    return drawn


@pytest.mark.parametrize("rho", [0.0, 0.5, 1.0])
def test_relobralo_is_a_plain_loop(rho):
    values, loss = sequence(), prescribed(ReLoBRaLo, temperature=0.5, alpha=0.7, rho=rho)
    drawn = lookbacks(loss, len(values))
    assert np.mean(drawn) == pytest.approx(1 - rho, abs=0.2)
    weights, totals = fed(loss, values)
    expected = relobralo(values, 0.5, 0.7, drawn)
    np.testing.assert_allclose(weights, expected, rtol=1e-12)
    np.testing.assert_allclose(totals, (expected * values).sum(axis=1), rtol=1e-12)


def test_relobralo_is_that_of_neuralop(monkeypatch):
    values, loss = 1e4 * sequence(), prescribed(ReLoBRaLo, temperature=0.5, alpha=0.7, rho=0.8)
    drawn = iter(lookbacks(loss, len(values))[1:])
    monkeypatch.setattr(torch, "bernoulli", lambda _: torch.tensor(0.0 if next(drawn) else 1.0))
    reference = Relobralo([torch.zeros(1)], 3, alpha=0.7, beta=0.8, tau=0.5, eps=1e-30).double()
    reference.register_forward_hook(lambda module, _, output: (output[0], output[1].clone()))
    expected_weights, expected = neuralops(reference, values)
    weights, totals = fed(loss, values)
    np.testing.assert_allclose(weights, expected_weights, rtol=1e-12)
    np.testing.assert_allclose(totals, expected, rtol=1e-6)


@pytest.mark.parametrize(("kind", "reference"), [(SoftAdapt, NeuralopSoftAdapt), (ReLoBRaLo, Relobralo)])
def test_weights_survive_a_loss_of_0_where_those_of_neuralop_do_not(kind, reference):
    values = np.array([[1.0, 1.0], [0.5, 0.0], [0.5, 0.1]])
    weights, _ = fed(prescribed(kind, 2), values)
    np.testing.assert_allclose(weights.sum(axis=1), 2.0)
    theirs, _ = neuralops(reference([torch.zeros(1)], 2).double(), values)
    assert theirs[-1].sum() < 1.95


class Linear(torch.nn.Module):
    """Two layers whose gradients are known: prediction = scale * (x @ first) @ last."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Linear(4, 5, bias=False).double()
        self.last = torch.nn.Linear(5, 2, bias=True).double()

    def forward(self, x):
        return self.last(self.first(x)).view(-1, 1, 2, 1)


@pytest.mark.parametrize(("part", "watched"), [(None, "last.weight"), ("first", "first.weight")])
def test_gradients_are_made_equally_large(part, watched):
    network, loss = Linear(), InverseGradientNorm([MSE(), RMSE(), VRMSE(smallest=1.0)], alpha=0.75, part=part)
    loss.watch(network)
    weight = network.get_parameter(watched)
    expected = None
    for step in range(4):
        x, target = torch.randn(6, 4).double() * 10.0 ** (2 - step), torch.randn(6, 1, 2, 1).double()
        found = loss(network(x), target)
        norms = np.array(
            [torch.autograd.grad(part(network(x), target), weight)[0].norm().item() for part in loss.losses]
        )
        now = norms.mean() / norms
        expected = now if expected is None else 0.75 * expected + 0.25 * now
        np.testing.assert_allclose(loss.weights.numpy(), expected, rtol=1e-10)
        terms = [part(network(x), target).item() for part in loss.losses]
        assert found.item() == pytest.approx((expected * terms).sum(), rel=1e-10)
        network.zero_grad()
        found.backward()
        assert network.first.weight.grad.norm() > 0
        norms_after = expected * norms
        assert step > 0 or np.ptp(norms_after) < 1e-9 * norms_after.max()


def test_a_loss_without_gradient_has_the_largest_weight_and_no_loss_an_old_one():
    network, loss = Linear(), InverseGradientNorm([MSE(), Prescribed(0)], largest=50.0)
    loss.watch(network)
    target = network(torch.ones(3, 4).double()).detach()
    loss(network(torch.ones(3, 4).double()), target)
    assert loss.weights.tolist() == pytest.approx([50.0, 0.5])
    only = InverseGradientNorm([MSE()])
    only.watch(network)
    only(network(torch.ones(3, 4).double()), target)
    assert only.weights.tolist() == [1.0]


def test_gradients_need_the_weights_of_a_network():
    loss = InverseGradientNorm([MSE()])
    prediction = torch.zeros(1, 1, 1, 4, requires_grad=True)
    with pytest.raises(ValueError, match=r"call watch\(network\) first"):
        loss(prediction, prediction.detach())
    with pytest.raises(ValueError, match=r"has no part 'middle' with weights to train, it has \['first', 'last'\]"):
        InverseGradientNorm([MSE()], part="middle").watch(Linear())


KINDS = [SoftAdapt, ReLoBRaLo]


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_leaves_the_state_alone_and_weighs_equally(kind):
    values, loss = sequence(), prescribed(kind, factors=[1.0, 2.0, 0.5])
    fed(loss, values[:5])
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    _, totals = fed(loss.eval(), values[5:])
    np.testing.assert_allclose(totals, values[5:] @ [1.0, 2.0, 0.5])
    with torch.no_grad():
        fed(loss.train(), values[5:])
    loss.advances = False
    fed(loss, values[5:])
    assert before.keys() == loss.state_dict().keys()
    assert all(torch.equal(before[name], value) for name, value in loss.state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_state_goes_on_bit_by_bit(kind):
    values, loss, resumed = sequence(), prescribed(kind), prescribed(kind)
    whole = fed(prescribed(kind), values)
    fed(loss, values[:13])
    resumed.load_state_dict(loss.state_dict())
    for expected, found in zip(whole, fed(resumed, values[13:]), strict=True):
        assert (found == expected[13:]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_values_that_are_not_finite_change_nothing(kind):
    values, loss = sequence(6), prescribed(kind)
    spoilt = np.insert(values, 3, [1.0, np.inf, 1.0], axis=0)
    spoilt = np.insert(spoilt, 4, [1.0, 1.0, np.nan], axis=0)
    expected, _ = fed(prescribed(kind, rho=1.0) if kind is ReLoBRaLo else prescribed(kind), values)
    weights, _ = fed(prescribed(kind, rho=1.0) if kind is ReLoBRaLo else loss, spoilt)
    np.testing.assert_array_equal(np.delete(weights, [3, 4], axis=0), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_factors_scale_the_terms_and_not_the_balance(kind):
    values = sequence()
    weights, _ = fed(prescribed(kind), values)
    with_factors = prescribed(kind, factors=[1.0, 3.0, 0.5])
    found, totals = fed(with_factors, values)
    np.testing.assert_array_equal(found, weights)
    np.testing.assert_allclose(totals, (weights * values) @ [1.0, 3.0, 0.5], rtol=1e-12)
    assert with_factors.report()["loss_weight/Prescribed_2"] == pytest.approx(3 * weights[-1, 1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_term_without_weight_takes_no_part(kind):
    values = sequence()
    two, _ = fed(prescribed(kind, 2), values[:, :2])
    three, _ = fed(prescribed(kind, factors=[1.0, 1.0, 0.0]), values)
    np.testing.assert_allclose(three[:, :2], two, rtol=1e-12)


def test_fields_are_terms_of_a_balance():
    torch.manual_seed(0)
    target = torch.randn(3, 2, 2, 8)
    loss = SoftAdapt({"data": ByField({"b": RMSE()}, default=MSE()), "whole": VRMSE()}, {"data": 4.0})
    loss.bind(FieldSpec("waves", ("a", "b"), (8,)))
    assert loss.term_names == ("data/a", "data/b", "whole")
    parts = []
    for size in (1.0, 0.7):
        prediction = (target + size * torch.randn(target.shape)).requires_grad_()
        total = loss(prediction, target)
        of_fields = [MSE()(prediction[:, :, :1], target[:, :, :1]), RMSE()(prediction[:, :, 1:], target[:, :, 1:])]
        parts.append(np.array([part.item() for part in (*of_fields, VRMSE()(prediction, target))]))
    expected = softmax(parts[1] / parts[0])
    np.testing.assert_allclose(loss.weights.numpy(), expected, rtol=1e-5)
    assert total.item() == pytest.approx((expected * parts[1]) @ [2.0, 2.0, 1.0], rel=1e-5)


def test_a_field_that_does_not_vary_is_not_balanced():
    loss = SoftAdapt([ByField(default=MSE())])
    loss.bind(FieldSpec("waves", ("a", "b", "c"), (8,)))
    loss.leave_out([True, False, True])
    values = sequence()
    for step in torch.tensor(values):
        prediction = step.sqrt().view(1, 1, 3, 1).clone().requires_grad_()
        total = loss(prediction, torch.zeros(1, 1, 3, 1).double())
    expected = softmax(values[-1, [0, 2]] / values[-2, [0, 2]])
    np.testing.assert_allclose(loss.weights.numpy(), [expected[0], 0.0, expected[1]], rtol=1e-10)
    assert total.item() == pytest.approx((expected * values[-1, [0, 2]]).mean(), rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_keeps_its_precision_and_the_sum_its_type(kind):
    loss = prescribed(kind).bfloat16()
    assert all(buffer.dtype in (torch.float64, torch.int64) for buffer in loss.buffers())
    for size in (1.0, 0.5):
        prediction = torch.full((1, 1, 3, 1), size, requires_grad=True)
        assert loss(prediction, prediction.detach()).dtype == torch.float32


def test_sums_within_sums_report_their_terms():
    torch.manual_seed(0)
    loss = WeightedSum({"a": SoftAdapt([MSE(), RMSE()]), "b": VRMSE()}, {"b": 0.5})
    prediction, target = torch.randn(2, 1, 1, 8, requires_grad=True), torch.randn(2, 1, 1, 8)
    loss(prediction, target)
    report = loss.report()
    terms = {"loss_term/a", "loss_term/b", "loss_term/a/MSE", "loss_term/a/RMSE"}
    assert report.keys() == terms | {"loss_weight/a/MSE", "loss_weight/a/RMSE"}
    torch.testing.assert_close(report["loss_term/a/RMSE"], RMSE()(prediction, target).detach())
    assert SoftAdapt([MSE()]).report() == {}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SoftAdapt([]), "needs losses and a factor for each, got 0 and 0"),
        (lambda: SoftAdapt([MSE()], temperature=0.0), "temperature must be positive and finite, got 0.0"),
        (lambda: require_rate("steep"), "rate is relative or absolute, got 'steep'"),
        (lambda: SoftAdapt([MSE(), RMSE()], [0.0, 0.0]), r"all losses \['MSE', 'RMSE'\] are 0"),
        (lambda: SoftAdapt({"a": MSE()}, {"b": 1.0}), r"factors name the losses \['b'\], but the sum has \['a'\]"),
        (lambda: ReLoBRaLo([MSE()], temperature=-1.0), "temperature must be positive and finite, got -1.0"),
        (lambda: ReLoBRaLo([MSE()], alpha=1.5), "alpha must be from 0 to 1, got 1.5"),
        (lambda: ReLoBRaLo([MSE()], rho=-0.1), "rho must be from 0 to 1, got -0.1"),
        (lambda: InverseGradientNorm([MSE()], alpha=2.0), "alpha must be from 0 to 1, got 2.0"),
        (lambda: InverseGradientNorm([MSE()], largest=0.0), "largest must be positive and finite, got 0.0"),
    ],
)
def test_impossible_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_base_class_is_what_a_balance_of_ones_own_subclasses():
    class Inverse(BalancedSum):
        def initial_state(self, n_terms):
            return {"weights": torch.ones(n_terms)}

        def next_state(self, measured, takes_part):
            return {"weights": 1 / measured}

    weights, totals = fed(prescribed(Inverse), sequence())
    np.testing.assert_allclose(weights, 1 / sequence())
    np.testing.assert_allclose(totals, 3.0)
