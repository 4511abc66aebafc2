"""The Kuramoto-Sivashinsky equation against another library, linear growth and the statistics of its attractor."""

import json
import math

import pytest
import torch

from fno_lightning.pdes.kuramoto_sivashinsky import KuramotoSivashinsky
from fno_lightning.pdes.pseudo_spectral import _Run
from tests.pdes.exponax_steps import steps_of_exponax

SEEDS = [3, 7]


def small(**options):
    options = {"resolution": (64,), "length": 22.0, "n_frames": 3, "warm_up": 20.0} | options
    return KuramotoSivashinsky(**options)


def velocity(pde, seeds=SEEDS):
    return pde.simulate({}, seeds).scalar_fields["velocity"]


@pytest.fixture(scope="module")
def attractor():
    return velocity(small(resolution=(128,), length=64.0, warm_up=100.0, n_frames=61), range(8))


def evolved(pde, spectrum, duration):
    box = pde.box()
    run = _Run(pde, box, {}, spectrum)
    run.advance(duration)
    return run.spectrum


def test_another_library():
    pde = small(warm_up=0.0, n_frames=2, frame_interval=5.0)
    start = pde.initial_state([5], pde.box())[0]
    other = steps_of_exponax("KuramotoSivashinskyConservative", start, 1000, 1, 22.0, 64, 0.005)
    torch.testing.assert_close(velocity(pde, [5])[0, 1].double(), other[0], rtol=0, atol=2e-5)


@pytest.mark.parametrize("number", [1, 3, 5])
def test_small_waves_grow_and_decay_at_the_linear_rate(number):
    pde = small()
    box = pde.box()
    kappa = 2 * math.pi * number / 22.0
    start = box.transform(1e-6 * torch.cos(kappa * box.coordinates[0]))[None, None]
    ratio = evolved(pde, start, 2.0)[0, 0, number] / start[0, 0, number]
    assert ratio.real.item() == pytest.approx(math.exp(2 * (kappa**2 - kappa**4)), rel=1e-6)


def test_order_four_in_time(monkeypatch):
    pde = small(resolution=(96,), length=32.0)
    box = pde.box()
    start = evolved(pde, box.transform(pde.initial_state(SEEDS, box)), 30.0)
    ends = []
    for dt in (0.05, 0.025, 0.00625):
        monkeypatch.setattr(KuramotoSivashinsky, "longest_step", lambda _, parameters, dt=dt: dt)
        ends.append(box.inverse(evolved(pde, start, 10.0)))
    coarse, fine = ((end - ends[2]).abs().max().item() for end in ends[:2])
    assert fine < 1e-5
    assert 3.3 < math.log2(coarse / fine) < 4.5


def test_statistics_of_the_attractor(attractor):
    """⟨u⟩ = 0 exactly; ⟨u²⟩ = 1.7 for long domains: Wittenberg and Holmes, Chaos 9 (1999); |u| stays below 4."""
    torch.testing.assert_close(attractor.mean(dim=-1), torch.zeros(8, 61), rtol=0, atol=1e-5)
    assert attractor.square().mean().item() == pytest.approx(1.7, rel=0.06)
    assert 2.5 < attractor.abs().max() < 4


def test_production_balances_dissipation_on_the_attractor(attractor):
    pde = small(resolution=(128,), length=64.0)
    box = pde.box()
    frames = attractor.double().flatten(0, 1)[:, None]
    budget = pde.budget(box.transform(frames), box, {})
    production = box.inner(*(box.derivatives[0] * box.transform(frames[:, 0]),) * 2)
    assert abs(budget.rate.mean()) < 0.02 * production.mean()


def test_the_energy_budget_is_that_of_the_equation():
    """The rate is the central difference of the energy over two short steps."""
    pde = small()
    box = pde.box()
    states = [evolved(pde, box.transform(pde.initial_state(SEEDS, box)), 10.0)]
    states += [evolved(pde, states[0], 0.01)]
    states += [evolved(pde, states[1], 0.01)]
    before, now, after = (pde.budget(state, box, {}) for state in states)
    torch.testing.assert_close((after.amount - before.amount) / 0.02, now.rate, rtol=1e-3, atol=1e-4)


def test_close_starts_part_at_the_largest_lyapunov_exponent():
    """0.048 for L = 22: Edson et al., ANZIAM J. 61 (2019); over 90 time units a single pair differs from it by 0.02."""
    pde = small(resolution=(40,))
    box = pde.box()
    start = evolved(pde, box.transform(pde.initial_state(range(32), box)), 60.0)
    pairs = torch.cat([start, start + 1e-9 * box.transform(pde.initial_state(range(100, 132), box))])
    distances = []
    for duration in (30.0, 90.0):
        pairs = evolved(pde, pairs, duration)
        gap = pairs[:32, 0] - pairs[32:, 0]
        distances.append(box.inner(gap, gap).sqrt().log().mean().item())
    assert (distances[1] - distances[0]) / 90 == pytest.approx(0.048, abs=0.012)


def test_the_first_frame_comes_after_the_warm_up():
    late = velocity(small(warm_up=2.0, n_frames=1))
    early = velocity(small(warm_up=0.0, n_frames=3))
    torch.testing.assert_close(late[:, 0], early[:, 2], rtol=0, atol=1e-6)


def test_grids_and_precisions_agree():
    coarse, fine = (velocity(small(resolution=(n,), warm_up=5.0)) for n in (64, 128))
    torch.testing.assert_close(coarse, fine[..., ::2], rtol=0, atol=1e-4)
    single = velocity(small(precision="float32", warm_up=5.0))
    torch.testing.assert_close(single, coarse, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 64.0}, "needs at least 107 points"),
        ({"length": 0.0}, "length is 0"),
        ({"warm_up": -1.0}, "warm_up is -1"),
        ({"warm_up": math.inf}, "warm_up is inf"),
        ({"n_frames": 0}, "n_frames is 0"),
    ],
)
def test_impossible_values_are_named(options, message):
    if options == {"length": 64.0}:
        options |= {"resolution": (64,)}
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_layout():
    pde = KuramotoSivashinsky()
    assert json.loads(json.dumps(pde.settings))["warm_up"] == 100
    assert [pde.label(parameters) for parameters in pde.parameter_sets] == ["kuramoto_sivashinsky"]
    assert pde.schema.scalar_fields["velocity"].shape == (1, 201, 128)
