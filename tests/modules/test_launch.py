import copy
from collections import Counter

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from fno_lightning.data.base import collate
from fno_lightning.modules import FNOModule, WarmupCosine
from fno_lightning.modules.launch import Launch

BATCH_SIZE, STEPS_PER_EPOCH = 3, 21
"""A launch of 4 steps leaves one step for the last launch of an epoch."""


class Samples(Callback):
    """Remembers which samples each item of the train loader holds."""

    def __init__(self):
        self.targets = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.targets.append(batch.target)


class Hooks(Callback):
    def __init__(self):
        self.calls = Counter()

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.calls["before_step", trainer.global_step] += 1

    def on_after_backward(self, trainer, pl_module):
        self.calls["after_backward", trainer.global_step] += 1


@pytest.fixture
def data(make_data):
    return make_data(batch_size=BATCH_SIZE, n_train=4)


@pytest.fixture
def fit(data, make_trainer):
    """Trains on the travelling waves and returns the module and its trainer."""

    def run(steps_per_launch, ckpt_path=None, data=data, loader=None, **options):
        module_options = {
            "lr_scheduler": options.pop("lr_scheduler", WarmupCosine),
            "optimizer": options.pop("optimizer", None),
        }
        torch.manual_seed(0)
        module = FNOModule(
            data.spec,
            n_modes=(8,),
            hidden_channels=8,
            n_layers=2,
            n_steps_input=2,
            steps_per_launch=steps_per_launch,
            channel_mlp_dropout=options.pop("dropout", 0.0),
            **module_options,
        )
        trainer = make_trainer(**({"max_epochs": 3} | options))
        torch.manual_seed(1)
        trainer.fit(module, data if loader is None else loader, ckpt_path=ckpt_path)
        return module, trainer

    return run


def assert_same_training(one, other):
    (module, trainer), (other_module, other_trainer) = one, other
    assert trainer.global_step == other_trainer.global_step
    for expected, found in zip(module.parameters(), other_module.parameters(), strict=True):
        assert torch.equal(found, expected)
    states = (t.optimizers[0].state_dict() for t in (trainer, other_trainer))
    torch.testing.assert_close(*states, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("precision", "steps_per_launch"),
    [("32-true", 1), ("32-true", 4), ("32-true", 100), ("bf16-mixed", 4), ("64-true", 4)],
)
@pytest.mark.parametrize("by_lightning", [False, True])
def test_launches_equal_single_steps_bit_by_bit(fit, precision, steps_per_launch, by_lightning):
    options = {"precision": precision, "gradient_clip_val": 0.5, "dropout": 0.1}
    single = fit(None, **options)
    launches = fit(steps_per_launch, callbacks=[Hooks()] if by_lightning else [], **options)
    assert (type(launches[0]._launch) is Launch) is by_lightning
    assert single[1].global_step == 3 * STEPS_PER_EPOCH
    assert_same_training(single, launches)


def test_the_same_batches_come_in_the_same_order(fit):
    def served(steps_per_launch):
        samples = Samples()
        fit(steps_per_launch, max_epochs=2, callbacks=[samples])
        return samples.targets

    single, launches = served(None), served(4)
    assert len(single) == 2 * STEPS_PER_EPOCH
    assert [len(item) for item in launches] == 2 * ([4 * BATCH_SIZE] * 5 + [BATCH_SIZE])
    assert torch.equal(torch.cat(single), torch.cat(launches))
    assert not torch.equal(*torch.cat(single).chunk(2))


@pytest.mark.parametrize("max_steps", [1, 6, 23])
def test_max_steps_are_never_exceeded(fit, max_steps):
    launches = fit(4, max_steps=max_steps)
    assert launches[1].global_step == max_steps
    assert_same_training(fit(None, max_steps=max_steps), launches)


def test_batches_can_be_limited(fit):
    launches = fit(4, limit_train_batches=6)
    assert launches[1].global_step == 18
    assert_same_training(fit(None, limit_train_batches=6), launches)


def test_a_fraction_of_the_batches_is_one_of_whole_launches(fit):
    module, trainer = fit(4, limit_train_batches=0.5)
    assert trainer.global_step == 3 * 3 * 4
    assert module.lr_schedulers().total_steps == trainer.global_step


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_gradients_are_clipped_in_each_step(fit, algorithm):
    clipped = {"gradient_clip_val": 1e-3, "gradient_clip_algorithm": algorithm, "optimizer": plain_sgd}
    launches = fit(4, **clipped)
    assert_same_training(fit(None, **clipped), launches)
    unclipped, _ = fit(4, optimizer=plain_sgd)
    assert not torch.equal(*(next(m.parameters()) for m in (unclipped, launches[0])))


def plain_sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def by_epoch(optimizer):
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)


def by_validation(optimizer):
    return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=1e3, threshold_mode="abs")


@pytest.mark.parametrize("lr_scheduler", [WarmupCosine, by_epoch, by_validation, None])
def test_schedules_go_on_as_with_single_steps(fit, lr_scheduler):
    launches = fit(4, lr_scheduler=lr_scheduler)
    single = fit(None, lr_scheduler=lr_scheduler)
    assert_same_training(single, launches)
    rates = [trainer.optimizers[0].param_groups[0]["lr"] for _, trainer in (single, launches)]
    assert rates[0] == rates[1]
    assert (rates[0] != 1e-3) is (lr_scheduler is not None)


def test_the_schedule_counts_optimizer_steps(fit):
    module, trainer = fit(4)
    assert module.lr_schedulers().total_steps == trainer.global_step == 3 * STEPS_PER_EPOCH


def test_hooks_run_in_every_step(fit):
    single, launches = Hooks(), Hooks()
    fit(None, callbacks=[single])
    fit(4, callbacks=[launches])
    assert len(single.calls) == 2 * 3 * STEPS_PER_EPOCH
    assert launches.calls == single.calls


def test_checkpoints_are_saved_after_the_same_steps(fit, tmp_path):
    def save(steps_per_launch, name):
        folder = tmp_path / name
        callback = ModelCheckpoint(dirpath=folder, every_n_train_steps=5, save_top_k=-1, filename="{step}")
        fit(steps_per_launch, callbacks=[callback], enable_checkpointing=True)
        return {path.name: torch.load(path, weights_only=True) for path in folder.iterdir()}

    single, launches = save(None, "single"), save(4, "launches")
    assert set(single) == {f"step={step}.ckpt" for step in range(5, 3 * STEPS_PER_EPOCH, 5)}
    assert set(launches) == set(single)
    for name, expected in single.items():
        found = launches[name]
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
            torch.testing.assert_close(found[part], expected[part], rtol=0, atol=0)
        loops, expected_loops = found["loops"]["fit_loop"], expected["loops"]["fit_loop"]
        for part in ("epoch_loop.batch_progress", "epoch_loop.state_dict", "epoch_progress"):
            assert loops[part] == expected_loops[part], (name, part)


@pytest.mark.parametrize(("before", "after"), [(None, 4), (4, None), (4, 4), (7, 4)])
def test_a_training_goes_on_with_other_launches(fit, tmp_path, before, after):
    def train_in_two_parts(before, after, name):
        _, trainer = fit(before, max_epochs=2, lr_scheduler=WarmupCosineFor63)
        trainer.save_checkpoint(tmp_path / name)
        return fit(after, lr_scheduler=WarmupCosineFor63, ckpt_path=tmp_path / name)

    resumed = train_in_two_parts(before, after, "launches.ckpt")
    assert resumed[1].global_step == 3 * STEPS_PER_EPOCH
    assert resumed[1].current_epoch == 3
    assert_same_training(train_in_two_parts(None, None, "single.ckpt"), resumed)


class WarmupCosineFor63(WarmupCosine):
    def __init__(self, optimizer):
        super().__init__(optimizer, total_steps=63)


def logged(tmp_path, name):
    rows = (tmp_path / name / "version_0" / "metrics.csv").read_text().splitlines()
    names, *values = (row.split(",") for row in rows)
    return [dict(zip(names, row, strict=True)) for row in values]


def test_logs_are_written_at_the_same_steps(fit, tmp_path):
    def train(steps_per_launch, name):
        logger = CSVLogger(tmp_path, name=name)
        fit(
            steps_per_launch,
            logger=logger,
            log_every_n_steps=5,
            callbacks=[LearningRateMonitor(logging_interval="step")],
            val_check_interval=8,
        )
        return logged(tmp_path, name)

    single, launches = train(None, "single"), train(4, "launches")

    def steps(rows, column):
        return [int(row["step"]) for row in rows if row[column]]

    for column in ("train/loss", "lr-AdamW"):
        assert steps(single, column), column
        assert steps(launches, column) == steps(single, column), column
    assert steps(single, "val/loss") == [7, 15, 28, 36, 49, 57]
    assert steps(launches, "val/loss") == [7, 15, 20, 28, 36, 41, 49, 57, 62]  # a short last launch counts as one


def test_the_logged_loss_is_the_mean_of_the_launch(fit, tmp_path):
    def losses(steps_per_launch, name):
        fit(steps_per_launch, logger=CSVLogger(tmp_path, name=name), log_every_n_steps=1, max_epochs=1)
        return torch.tensor([float(row["train/loss"]) for row in logged(tmp_path, name) if row["train/loss"]])

    single, launches = losses(None, "single"), losses(4, "launches")
    expected = torch.stack([part.mean() for part in single.split(4)])
    torch.testing.assert_close(launches, expected)


def test_a_loader_of_ones_own_holds_several_batches_in_an_item(fit, data):
    data.prepare_data()
    data.setup("fit")

    def train(steps_per_launch, batch_size):
        loader = DataLoader(data.dataset("train"), batch_size=batch_size, collate_fn=collate)
        with pytest.warns(UserWarning, match="fit_normalization|val_dataloader|validation_step"):
            return fit(steps_per_launch, loader=loader)

    launches = train(4, 4 * BATCH_SIZE)
    assert_same_training(train(None, BATCH_SIZE), launches)
    assert launches[0].lr_schedulers().total_steps == launches[1].global_step


def test_a_loader_that_does_not_fit_the_launches_is_refused(fit, data):
    data.prepare_data()
    data.setup("fit")
    loader = DataLoader(data.dataset("train"), batch_size=6, collate_fn=collate)
    with (
        pytest.warns(UserWarning, match="fit_normalization|val_dataloader|validation_step"),
        pytest.raises(ValueError, match="holds 4 batches, but the loader's batch_size is 6: make it 4 times"),
    ):
        fit(4, loader=loader)


def test_an_item_of_too_many_batches_is_refused(fit, data):
    data.train_dataloader = lambda: DataLoader(data.dataset("train"), batch_size=24, collate_fn=collate)
    with pytest.raises(ValueError, match="an item of the train loader has 24 samples, which is more than"):
        fit(4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accumulate_grad_batches": 2}, "has accumulate_grad_batches=2: choose a larger batch_size"),
        ({"overfit_batches": 1}, "has overfit_batches=1, which counts items"),
    ],
)
def test_settings_of_the_trainer_that_do_not_go_with_launches_are_refused(fit, options, message):
    with pytest.raises(ValueError, match=message):
        fit(4, **options)


def test_a_launch_has_at_least_one_step(fit):
    with pytest.raises(ValueError, match="steps_per_launch is at least 1, or None for single steps, got 0"):
        fit(0)


class EverySecondStep(FNOModule):
    def configure_optimizers(self):
        configuration = super().configure_optimizers()
        configuration["lr_scheduler"]["frequency"] = 2
        return configuration


class ForgetfulModule(FNOModule):
    def on_train_batch_start(self, batch, batch_idx):
        pass


def test_a_hook_that_forgets_its_super_is_named(data, make_trainer):
    module = ForgetfulModule(data.spec, n_modes=(8,), n_steps_input=2, steps_per_launch=4)
    with pytest.raises(RuntimeError, match="ForgetfulModule overrides on_train_batch_start"):
        make_trainer().fit(module, data)


class ScaledLoss(FNOModule):
    def training_step(self, batch, batch_idx):
        return 3 * super().training_step(batch, batch_idx)


def test_a_training_step_of_ones_own_is_what_trains(data, make_trainer):
    def train(steps_per_launch):
        torch.manual_seed(0)
        options = {"n_modes": (8,), "hidden_channels": 8, "n_layers": 2, "n_steps_input": 2}
        module = ScaledLoss(data.spec, steps_per_launch=steps_per_launch, optimizer=plain_sgd, **options)
        trainer = make_trainer()
        torch.manual_seed(1)
        trainer.fit(module, data)
        return module, trainer

    assert_same_training(train(None), train(4))


class Outputs(Callback):
    def __init__(self):
        self.losses = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"])


def test_the_output_of_a_launch_is_its_last_loss(fit):
    single, direct, by_lightning = Outputs(), Outputs(), Outputs()
    fit(None, callbacks=[single])
    fit(4, callbacks=[direct])
    fit(4, callbacks=[by_lightning, Hooks()])
    last = [loss for epoch in torch.stack(single.losses).split(STEPS_PER_EPOCH) for loss in [*epoch[3::4], epoch[-1]]]
    assert direct.losses == last
    assert by_lightning.losses == last


def lbfgs(parameters):
    return torch.optim.LBFGS(parameters, lr=1e-3, max_iter=2)


def test_an_optimizer_may_compute_the_loss_several_times(fit):
    launches = fit(4, optimizer=lbfgs, lr_scheduler=None, max_epochs=1)
    single = fit(None, optimizer=lbfgs, lr_scheduler=None, max_epochs=1)
    for expected, found in zip(single[0].parameters(), launches[0].parameters(), strict=True):
        assert torch.equal(found, expected)


def test_a_schedule_with_another_rhythm_is_refused(data, make_trainer):
    module = EverySecondStep(data.spec, n_modes=(8,), n_steps_input=2, steps_per_launch=4, lr_scheduler=WarmupCosine)
    with pytest.raises(ValueError, match="WarmupCosine has interval=step with frequency=2"):
        make_trainer().fit(module, data)


def test_the_trainer_gets_its_settings_back(fit):
    _, trainer = fit(4, val_check_interval=8)
    assert trainer.val_check_interval == 8
    assert not any(type(callback).__name__ == "StepsToLog" for callback in trainer.callbacks)


class Interruption(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        raise ConnectionError


def test_an_interrupted_training_leaves_no_settings_to_the_next(fit, data):
    interruption = Interruption()
    module, trainer = fit(4, val_check_interval=8)
    trainer.callbacks.append(interruption)
    trainer.fit_loop.max_epochs += 1
    with pytest.raises(ConnectionError):
        trainer.fit(module, data)
    trainer.callbacks.remove(interruption)
    trainer.fit(module, data)
    assert trainer.val_check_interval == 8


class Copies(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.module = copy.deepcopy(pl_module)


def test_a_copy_of_the_module_does_not_hold_its_training(fit):
    copies = Copies()
    module, _ = fit(4, callbacks=[copies])
    assert module._launch is not None
    assert copies.module._launch is None


def test_a_checkpoint_after_a_test_counts_steps_too(fit, data, tmp_path):
    def progress(steps_per_launch):
        module, trainer = fit(steps_per_launch, max_epochs=2)
        trainer.test(module, data, verbose=False)
        trainer.save_checkpoint(tmp_path / "tested.ckpt")
        loop = torch.load(tmp_path / "tested.ckpt", weights_only=True)["loops"]["fit_loop"]
        return loop["epoch_loop.batch_progress"], loop["epoch_loop.state_dict"]

    assert progress(4) == progress(None)


def test_steps_per_launch_is_a_choice_of_the_run(fit, tmp_path):
    module, trainer = fit(4)
    assert "steps_per_launch" not in module.hparams
    trainer.save_checkpoint(tmp_path / "launches.ckpt")
    assert FNOModule.load_from_checkpoint(tmp_path / "launches.ckpt").steps_per_launch is None
