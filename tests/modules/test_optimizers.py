import math

import pytest
import torch

from fno_lightning.modules.optimizers import WarmupCosine


def rates(n_steps, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = WarmupCosine(optimizer, total_steps=n_steps, **options)
    found = []
    for _ in range(n_steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return [*found, optimizer.param_groups[0]["lr"]]


def test_without_warmup_equals_torch_cosine_annealing():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20, eta_min=0.2)
    expected = []
    for _ in range(21):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()
    assert rates(20, warmup=0.0, final=0.1) == pytest.approx(expected)


def test_warms_up_linearly_and_never_starts_at_zero():
    found = rates(100, warmup=0.1, final=0.0)
    assert found[:10] == pytest.approx([2.0 * (step + 1) / 11 for step in range(10)])
    assert found[10] == pytest.approx(2.0)
    assert found[-1] == pytest.approx(0.0, abs=1e-12)
    assert found[55] == pytest.approx(1 + math.cos(math.pi * 0.5))


@pytest.mark.parametrize("options", [{"warmup": 1.0}, {"warmup": -0.1}, {"final": 2.0}])
def test_impossible_fractions_are_refused(options):
    with pytest.raises(ValueError, match="is a fraction"):
        rates(10, **options)


def make_scheduler(total_steps=None):
    return WarmupCosine(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0), total_steps=total_steps)


def test_a_resumed_training_that_lasts_longer_has_a_longer_schedule():
    short, long = make_scheduler(total_steps=10), make_scheduler(total_steps=100)
    for _ in range(10):
        short.optimizer.step()
        short.step()
    long.load_state_dict(short.state_dict())
    long.optimizer.step()
    long.step()
    assert long.get_last_lr() == [2.0 * long.fraction(11)]
    assert long.fraction(11) > 0.95
