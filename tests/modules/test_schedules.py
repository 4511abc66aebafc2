"""Schedules are updated as often as users of their classes expect, or as they ask for."""

from functools import partial

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.cli import ReduceLROnPlateau
from torch.optim import lr_scheduler as schedules

from fno_lightning.modules import WarmupCosine
from fno_lightning.modules.schedules import lightning_schedule
from tests.callbacks.waves import WaveData, WaveModule

STEPS_PER_EPOCH, N_EPOCHS = 2, 4
ONE_CYCLE = partial(schedules.OneCycleLR, max_lr=1e-2)
CYCLIC = partial(schedules.CyclicLR, base_lr=1e-4, max_lr=1e-2, step_size_up=3)
STEP = partial(schedules.StepLR, step_size=1, gamma=0.5)
PLATEAU = partial(schedules.ReduceLROnPlateau, patience=0, threshold=1e3)  # no value is an improvement
TRAIN_PLATEAU = partial(ReduceLROnPlateau, monitor="train/loss", patience=0, threshold=1e3)


def sequential(optimizer, second=schedules.CosineAnnealingLR, **options):
    warmup = schedules.LinearLR(optimizer, total_iters=2)
    return schedules.SequentialLR(optimizer, [warmup, second(optimizer, **options)], milestones=[2])


def chained(optimizer):
    return schedules.ChainedScheduler([schedules.LinearLR(optimizer, total_iters=2), STEP(optimizer)])


@pytest.fixture
def fit(make_trainer):
    def run(lr_scheduler, *callbacks, ckpt_path=None, lr_interval=None, lr_frequency=None, lr=None, **options):
        torch.manual_seed(0)
        data = WaveData()
        module = WaveModule(
            spec=data.spec,
            n_steps_input=2,
            optimizer=partial(torch.optim.SGD, lr=1e-3, momentum=0.9),
            lr_scheduler=lr_scheduler,
            lr_interval=lr_interval,
            lr_frequency=lr_frequency,
        )
        module.lr = lr
        trainer = make_trainer(*callbacks, **({"max_epochs": N_EPOCHS} | options))
        trainer.fit(module, datamodule=data, ckpt_path=ckpt_path)
        return trainer

    return run


@pytest.mark.filterwarnings("ignore:A `OneCycleLR` scheduler is using 'interval'")
@pytest.mark.parametrize(
    ("lr_scheduler", "options", "expected"),
    [
        (STEP, {}, N_EPOCHS),
        (STEP, {"lr_interval": "step"}, N_EPOCHS * STEPS_PER_EPOCH),
        (STEP, {"lr_frequency": 2}, N_EPOCHS // 2),
        (STEP, {"lr_interval": "step", "lr_frequency": 2}, N_EPOCHS),
        (STEP, {"lr_interval": "step", "accumulate_grad_batches": 2}, N_EPOCHS),
        (ONE_CYCLE, {}, N_EPOCHS * STEPS_PER_EPOCH),
        (ONE_CYCLE, {"accumulate_grad_batches": 2}, N_EPOCHS),
        (partial(ONE_CYCLE, total_steps=N_EPOCHS), {"lr_interval": "epoch"}, N_EPOCHS),
        (CYCLIC, {}, N_EPOCHS * STEPS_PER_EPOCH),
        (CYCLIC, {"lr_interval": "epoch"}, N_EPOCHS),
        (WarmupCosine, {}, N_EPOCHS * STEPS_PER_EPOCH),
        (partial(sequential, T_max=2), {}, N_EPOCHS),
        (partial(sequential, T_max=6), {"lr_interval": "step"}, N_EPOCHS * STEPS_PER_EPOCH),
        (partial(sequential, second=WarmupCosine, total_steps=9), {}, N_EPOCHS * STEPS_PER_EPOCH),
        (PLATEAU, {}, N_EPOCHS),
        (PLATEAU, {"check_val_every_n_epoch": 2}, N_EPOCHS // 2),
        (PLATEAU, {"val_check_interval": 0.5}, N_EPOCHS),
        (PLATEAU, {"val_check_interval": 2, "lr_interval": "step", "lr_frequency": 2}, N_EPOCHS),
        (TRAIN_PLATEAU, {"lr_interval": "step"}, N_EPOCHS * STEPS_PER_EPOCH),
        (TRAIN_PLATEAU, {"check_val_every_n_epoch": 2}, N_EPOCHS),
    ],
)
def test_schedules_are_updated_by_step_or_by_epoch(fit, lr_scheduler, options, expected):
    trainer = fit(lr_scheduler, **options)
    assert trainer.lr_scheduler_configs[0].scheduler.last_epoch == expected


def test_a_chain_of_schedules_is_updated_by_epoch(fit):
    assert fit(chained).optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-3 * 0.5**N_EPOCHS)


@pytest.mark.parametrize("options", [{}, {"max_epochs": -1, "max_steps": 5}, {"accumulate_grad_batches": 2}])
def test_one_cycle_lasts_as_long_as_the_training(fit, options):
    trainer = fit(ONE_CYCLE, **options)
    assert trainer.lr_scheduler_configs[0].scheduler.total_steps == trainer.global_step


def test_a_given_length_is_kept(fit):
    trainer = fit(partial(ONE_CYCLE, epochs=10, steps_per_epoch=7))
    assert trainer.lr_scheduler_configs[0].scheduler.total_steps == 70


@pytest.mark.parametrize("lr_scheduler", [ONE_CYCLE, CYCLIC, STEP, partial(sequential, T_max=6), chained, PLATEAU])
@pytest.mark.parametrize("lr_interval", [None, "step"])
def test_a_resumed_training_has_the_rates_of_one_in_one_go(fit, tmp_path, lr_scheduler, lr_interval):
    options = {} if lr_scheduler is PLATEAU else {"lr_interval": lr_interval}
    first = fit(lr_scheduler, max_epochs=2, **options)
    first.save_checkpoint(tmp_path / "half.ckpt")
    resumed = fit(lr_scheduler, ckpt_path=tmp_path / "half.ckpt", **options)
    whole = fit(lr_scheduler, **options)
    rates = [trainer.optimizers[0].param_groups[0]["lr"] for trainer in (resumed, whole)]
    assert rates[0] == pytest.approx(rates[1])


@pytest.mark.parametrize(
    ("lr_scheduler", "options", "message"),
    [
        (STEP, {"lr_interval": "batch"}, "lr_interval is 'step' or 'epoch' and lr_frequency at least 1, got .*'batch'"),
        (STEP, {"lr_frequency": 0}, "got lr_interval=None and lr_frequency=0"),
        (PLATEAU, {"lr_interval": "step"}, "looks at val/loss, which only a validation gives"),
        (ONE_CYCLE, {"max_epochs": -1}, "OneCycleLR must know how long the training lasts"),
        (WarmupCosine, {"max_epochs": -1}, "WarmupCosine must know how long the training lasts"),
        (ONE_CYCLE, {"lr_interval": "epoch"}, "OneCycleLR without total_steps counts the optimizer steps"),
        (
            WarmupCosine,
            {"lr_frequency": 2},
            "WarmupCosine without total_steps counts .* lr_frequency=2: leave these out",
        ),
        (partial(sequential, second=WarmupCosine), {}, "WarmupCosine is a part of SequentialLR"),
    ],
)
def test_impossible_rhythms_are_refused(fit, lr_scheduler, options, message):
    with pytest.raises(ValueError, match=message):
        fit(lr_scheduler, **options)


@pytest.mark.parametrize(
    ("lr_scheduler", "highest"),
    [(None, 0.25), (STEP, 0.25), (WarmupCosine, 0.25), (ONE_CYCLE, 0.25), (partial(sequential, T_max=6), 0.25)],
)
def test_a_rate_that_is_set_is_that_of_the_schedule(fit, lr_scheduler, highest):
    rates = []

    class Recorder(Callback):
        def on_train_batch_start(self, trainer, *_):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    fit(lr_scheduler, Recorder(), lr=0.25, lr_interval=None if lr_scheduler in (None, STEP) else "step", max_epochs=20)
    assert max(rates) == pytest.approx(highest, rel=0.02)


def test_a_schedule_with_rates_of_its_own_says_so(fit):
    with pytest.warns(UserWarning, match="CyclicLR has learning rates of its own, which lr=0.25 does not change"):
        fit(CYCLIC, lr=0.25)


def test_the_first_step_already_follows_the_length_of_the_training():
    optimizers = [torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0) for _ in range(2)]
    given = WarmupCosine(optimizers[0], total_steps=200)
    found_out = lightning_schedule(WarmupCosine, optimizers[1], lambda: 200)["scheduler"]
    for _ in range(20):
        assert optimizers[1].param_groups[0]["lr"] == optimizers[0].param_groups[0]["lr"]
        assert found_out.get_last_lr() == given.get_last_lr()
        for scheduler in (given, found_out):
            scheduler.optimizer.step()
            scheduler.step()
