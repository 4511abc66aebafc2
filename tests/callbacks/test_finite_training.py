"""Losses and gradients that are not finite: stopped before the step, left out, named."""

import re

import pytest
import torch
from jaxtyping import TypeCheckError
from lightning.pytorch import Callback, seed_everything

from fno_lightning import FNOModule
from fno_lightning.callbacks import FiniteTraining
from fno_lightning.data import WellDataModule


class BreaksGradients(Callback):
    """Makes gradients infinite at some steps; these samples have nothing to do with it."""

    def __init__(self, *steps):
        self.steps = steps

    def on_after_backward(self, trainer, pl_module):
        if trainer.global_step in self.steps:
            next(pl_module.parameters()).grad.fill_(torch.inf)


class BreaksOn(FNOModule):
    """Has no finite loss on one of the samples."""

    broken = None

    def step(self, batch):
        loss, prediction = super().step(batch)
        is_here = (batch.history == self.broken).flatten(1).all(dim=1).any()
        return loss * torch.inf if is_here else loss, prediction


def module_of(data, cls=FNOModule):
    seed_everything(1, verbose=False)
    return cls(data.spec, n_modes=(4,), hidden_channels=4, n_layers=1, n_steps_input=2)


class Weights(Callback):
    """Weights before each step."""

    def __init__(self):
        self.before = []

    def on_train_batch_start(self, trainer, pl_module, *_):
        self.before.append(next(pl_module.parameters()).detach().clone())


def test_a_training_stops_with_the_weights_before_the_step(make_data, make_trainer, tmp_path):
    data, weights = make_data(batch_size=2), Weights()
    module = module_of(data)
    trainer = make_trainer(BreaksGradients(4), FiniteTraining(), weights)
    with pytest.raises(
        FloatingPointError, match=r"not finite at step 4, the loss is .*every sample's own loss is finite"
    ):
        trainer.fit(module, data)
    saved = torch.load(tmp_path / "last-finite.ckpt", weights_only=True)
    assert saved["global_step"] == 4
    first = next(iter(dict(module.named_parameters())))
    torch.testing.assert_close(saved["state_dict"][first], weights.before[4], rtol=0, atol=0)
    assert all(value.isfinite().all() for value in saved["state_dict"].values())


@pytest.mark.parametrize("cache", ["none", "ram"])
def test_the_sample_is_named_by_file_trajectory_and_frames(data_set, make_trainer, cache):
    root = data_set(grid=(8, 8))
    data = WellDataModule(root.name, str(root.parent), n_steps_input=2, batch_size=4, cache=cache)
    seed_everything(1, verbose=False)
    module = BreaksOn(data.spec, n_modes=(4, 4), hidden_channels=4, n_layers=1, n_steps_input=2)
    data.setup()
    number = 9
    module.broken = data.dataset("train")[number].history
    assert data.sample_name("train", number) == f"frames 3 to 5 of trajectory 1 of {root / 'data/train/a.hdf5'}"
    expected = re.escape(data.sample_name("train", number)) + r"\. The state"
    with pytest.raises(FloatingPointError, match=expected):
        make_trainer(FiniteTraining()).fit(module, data)


def test_a_step_is_left_out_without_a_trace(make_data, make_trainer):
    data = make_data(batch_size=2)
    weights, module = Weights(), module_of(data)
    with pytest.warns(UserWarning, match="at step 4, .*the step is left out"):
        make_trainer(BreaksGradients(4), FiniteTraining(action="skip"), weights).fit(module, data)
    torch.testing.assert_close(weights.before[5], weights.before[4], rtol=0, atol=0)
    assert not torch.equal(weights.before[6], weights.before[5])
    assert all(value.isfinite().all() for value in module.state_dict().values())


@pytest.mark.filterwarnings("ignore:.*the step is left out")
def test_steps_that_all_fail_stop_after_all(make_data, make_trainer):
    data = make_data(batch_size=2)
    guard = FiniteTraining(action="skip", most_skipped=2)
    with pytest.raises(FloatingPointError, match="at step 3"):
        make_trainer(BreaksGradients(*range(1, 20)), guard).fit(module_of(data), data)


def test_a_healthy_training_is_the_same(make_data, make_trainer):
    results = []
    for callbacks in ([], [FiniteTraining()]):
        data = make_data(batch_size=2)
        module = module_of(data)
        make_trainer(*callbacks).fit(module, data)
        results.append(module.state_dict())
    torch.testing.assert_close(*results, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"action": "ignore"}, "ignore"), ({"most_skipped": 0}, "most_skipped of FiniteTraining is 0")],
)
def test_bad_options_are_named(options, message):
    with pytest.raises((ValueError, TypeCheckError), match=message):
        FiniteTraining(**options)
