"""Lightning's finders suggest a learning rate and a batch size, and the training takes them."""

from functools import partial

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import BatchSizeFinder, LearningRateFinder
from lightning.pytorch.tuner import Tuner
from torch.optim import lr_scheduler as schedules

from fno_lightning.callbacks import RolloutEvaluation
from fno_lightning.metrics import VRMSE
from fno_lightning.modules import WarmupCosine
from tests.callbacks.waves import WaveData, WaveModule

SEARCH = {"min_lr": 1e-4, "max_lr": 0.1, "early_stop_threshold": None}

SGD = partial(torch.optim.SGD, lr=1e-5, momentum=0.9)


class Rates(Callback):
    """Keeps the learning rate of each step."""

    def __init__(self):
        self.rates = []

    def on_train_batch_start(self, trainer, *_):
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


def make_module(data, **options):
    torch.manual_seed(0)
    return WaveModule(spec=data.spec, n_steps_input=2, **options)


def tuned(make_trainer, module, data):
    """Search before the training."""
    rates = Rates()
    trainer = make_trainer(RolloutEvaluation(8, metrics={"vrmse": VRMSE}), rates, max_epochs=8)
    found = Tuner(trainer).lr_find(module, datamodule=data, num_training=20, **SEARCH)
    assert not rates.rates
    trainer.fit(module, datamodule=data)
    assert found.suggestion() == module.lr
    return rates.rates


def found_by_callback(make_trainer, module, data):
    """Search when the training starts."""
    rates = Rates()
    finder = LearningRateFinder(num_training_steps=20, **SEARCH)
    make_trainer(rates, finder, max_epochs=8).fit(module, datamodule=data)
    assert finder.optimal_lr.suggestion() == module.lr
    return rates.rates


@pytest.mark.parametrize("find", [tuned, found_by_callback])
@pytest.mark.parametrize(
    ("lr_scheduler", "fractions"),
    [
        (None, [1.0] * 16),
        (partial(WarmupCosine, warmup=0.25, final=0), [0.2, 0.4, 0.6, 0.8, 1.0]),
        (partial(schedules.LinearLR, total_iters=2, start_factor=0.25), [0.25, 0.25, 0.625, 0.625, 1.0, 1.0, 1.0]),
        (partial(schedules.OneCycleLR, max_lr=9.0, pct_start=5 / 16), [1 / 25]),
    ],
    ids=["constant", "warmup", "linear", "one cycle"],
)
def test_the_training_takes_the_suggested_rate(make_trainer, find, lr_scheduler, fractions):
    data = WaveData()
    module = make_module(data, optimizer=SGD, lr_scheduler=lr_scheduler)
    rates = find(make_trainer, module, data)
    assert len(rates) == 16
    assert SEARCH["min_lr"] <= module.lr <= SEARCH["max_lr"]
    assert rates[: len(fractions)] == pytest.approx([fraction * module.lr for fraction in fractions])
    assert max(rates) == pytest.approx(module.lr, rel=0.05)


def test_the_default_optimizer_takes_the_suggested_rate(make_trainer):
    data = WaveData()
    module = make_module(data)
    assert set(tuned(make_trainer, module, data)) == {module.lr}


def test_a_search_keeps_the_initial_weights(make_trainer, tmp_path):
    data = WaveData()
    first = make_module(data)
    trainer = make_trainer()
    trainer.fit(first, datamodule=data)
    trainer.save_checkpoint(tmp_path / "first.ckpt")
    standing_still = {"optimizer": partial(torch.optim.SGD, lr=0.0), "initial_weights": str(tmp_path / "first.ckpt")}
    second = WaveModule(spec=data.spec, n_steps_input=2, **standing_still)
    finder = LearningRateFinder(num_training_steps=20, update_attr=False, **SEARCH)
    make_trainer(finder).fit(second, datamodule=data)
    for expected, found in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("mode", ["power", "binsearch"])
@pytest.mark.parametrize("method", ["fit", "validate", "test", "predict"])
def test_the_batch_size_is_scaled(make_trainer, mode, method):
    data = WaveData()
    trainer = make_trainer()
    options = {"mode": mode, "init_val": 1, "max_trials": 3, "steps_per_trial": 1, "margin": 0.0}
    found = Tuner(trainer).scale_batch_size(make_module(data), datamodule=data, method=method, **options)
    assert 1 < found == data.batch_size


def test_a_training_goes_on_with_the_batch_size_that_was_found(make_trainer):
    data = WaveData()
    trainer = make_trainer(BatchSizeFinder(init_val=1, max_trials=3, steps_per_trial=1))
    trainer.fit(make_module(data), datamodule=data)
    assert trainer.global_step == 1
    assert trainer.train_dataloader.batch_size == data.batch_size == 4
