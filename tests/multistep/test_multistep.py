from collections import Counter
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch
import yaml
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    EMAWeightAveraging,
    LearningRateFinder,
    LearningRateMonitor,
    ModelCheckpoint,
)
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from fno_lightning.cli import main
from fno_lightning.data import collate
from fno_lightning.modules import FNOModule, ForecastModule, WarmupCosine
from fno_lightning.multistep import MultiStepStrategy
from fno_lightning.multistep.capture import obstacle_to_capture
from fno_lightning.multistep.execution import Execution
from tests.multistep.conftest import BATCH_SIZE, STEPS_PER_EPOCH


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


@pytest.mark.parametrize(
    ("precision", "steps_per_execution"),
    [("32-true", 1), ("32-true", 4), ("32-true", 100), ("bf16-mixed", 4), ("64-true", 4)],
)
@pytest.mark.parametrize("by_lightning", [False, True])
def test_executions_equal_single_steps_bit_by_bit(
    fit, precision, steps_per_execution, by_lightning, assert_same_training
):
    options = {"precision": precision, "gradient_clip_val": 0.5, "dropout": 0.1}
    single = fit(None, **options)
    executions = fit(steps_per_execution, callbacks=[Hooks()] if by_lightning else [], **options)
    assert (type(executions[1].strategy._execution) is Execution) is by_lightning
    assert single[1].global_step == 3 * STEPS_PER_EPOCH
    assert_same_training(single, executions)


def test_the_same_batches_come_in_the_same_order(fit):
    def served(steps_per_execution):
        samples = Samples()
        fit(steps_per_execution, max_epochs=2, callbacks=[samples])
        return samples.targets

    single, executions = served(None), served(4)
    assert len(single) == 2 * STEPS_PER_EPOCH
    assert [len(item) for item in executions] == 2 * ([4 * BATCH_SIZE] * 5 + [BATCH_SIZE])
    assert torch.equal(torch.cat(single), torch.cat(executions))
    assert not torch.equal(*torch.cat(single).chunk(2))


@pytest.mark.parametrize("max_steps", [1, 6, 23])
def test_max_steps_are_never_exceeded(fit, max_steps, assert_same_training):
    executions = fit(4, max_steps=max_steps)
    assert executions[1].global_step == max_steps
    assert_same_training(fit(None, max_steps=max_steps), executions)


def test_batches_can_be_limited(fit, assert_same_training):
    executions = fit(4, limit_train_batches=6)
    assert executions[1].global_step == 18
    assert_same_training(fit(None, limit_train_batches=6), executions)


def test_a_fraction_of_the_batches_is_one_of_whole_executions(fit):
    module, trainer = fit(4, limit_train_batches=0.5)
    assert trainer.global_step == 3 * 3 * 4
    assert module.lr_schedulers().total_steps == trainer.global_step


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_gradients_are_clipped_in_each_step(fit, algorithm, assert_same_training):
    clipped = {"gradient_clip_val": 1e-3, "gradient_clip_algorithm": algorithm, "optimizer": plain_sgd}
    executions = fit(4, **clipped)
    assert_same_training(fit(None, **clipped), executions)
    unclipped, _ = fit(4, optimizer=plain_sgd)
    assert not torch.equal(*(next(m.parameters()) for m in (unclipped, executions[0])))


def plain_sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def by_epoch(optimizer):
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)


def by_validation(optimizer):
    return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=1e3, threshold_mode="abs")


one_cycle = partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=1e-2)
cyclic = partial(torch.optim.lr_scheduler.CyclicLR, base_lr=1e-4, max_lr=1e-2, step_size_up=7)


@pytest.mark.parametrize(
    ("lr_scheduler", "options"),
    [
        (WarmupCosine, {}),
        (by_epoch, {}),
        (by_epoch, {"lr_interval": "step"}),
        (by_epoch, {"lr_frequency": 2}),
        (by_validation, {}),
        (one_cycle, {}),
        (cyclic, {}),
        (None, {}),
    ],
)
def test_schedules_go_on_as_with_single_steps(fit, lr_scheduler, options, assert_same_training):
    executions = fit(4, lr_scheduler=lr_scheduler, **options)
    single = fit(None, lr_scheduler=lr_scheduler, **options)
    assert_same_training(single, executions)
    rates = [trainer.optimizers[0].param_groups[0]["lr"] for _, trainer in (single, executions)]
    assert rates[0] == rates[1]
    assert (rates[0] != 1e-3) is (lr_scheduler is not None)


def test_the_schedule_counts_optimizer_steps(fit):
    module, trainer = fit(4)
    assert module.lr_schedulers().total_steps == trainer.global_step == 3 * STEPS_PER_EPOCH


def test_hooks_run_in_every_step(fit):
    single, executions = Hooks(), Hooks()
    fit(None, callbacks=[single])
    fit(4, callbacks=[executions])
    assert len(single.calls) == 2 * 3 * STEPS_PER_EPOCH
    assert executions.calls == single.calls


def test_checkpoints_are_saved_after_the_same_steps(fit, tmp_path):
    def save(steps_per_execution, name):
        folder = tmp_path / name
        callback = ModelCheckpoint(dirpath=folder, every_n_train_steps=5, save_top_k=-1, filename="{step}")
        fit(steps_per_execution, callbacks=[callback], enable_checkpointing=True)
        return {path.name: torch.load(path, weights_only=True) for path in folder.iterdir()}

    single, executions = save(None, "single"), save(4, "executions")
    assert set(single) == {f"step={step}.ckpt" for step in range(5, 3 * STEPS_PER_EPOCH, 5)}
    assert set(executions) == set(single)
    for name, expected in single.items():
        found = executions[name]
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
            torch.testing.assert_close(found[part], expected[part], rtol=0, atol=0)
        loops, expected_loops = found["loops"]["fit_loop"], expected["loops"]["fit_loop"]
        for part in ("epoch_loop.batch_progress", "epoch_loop.state_dict", "epoch_progress"):
            assert loops[part] == expected_loops[part], (name, part)


@pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback with a model that overrides")
@pytest.mark.parametrize("by_lightning", [False, True])
def test_weights_are_averaged_after_every_step(fit, by_lightning, assert_same_training):
    hooks = [Hooks()] if by_lightning else []
    single = fit(None, callbacks=[EMAWeightAveraging(decay=0.9)])  # whose weights are the averages in the end
    executions = fit(4, callbacks=[EMAWeightAveraging(decay=0.9), *hooks])
    assert_same_training(single, executions)


def test_averages_after_every_step_are_an_obstacle_to_graphs(fit):
    _, trainer = fit(4, max_steps=1)
    on_device = SimpleNamespace(
        optimizers=trainer.optimizers,
        strategy=SimpleNamespace(root_device=torch.device("cuda")),
        lightning_module=trainer.lightning_module,
        callbacks=[EMAWeightAveraging()],
    )
    assert obstacle_to_capture(on_device) == "EMAWeightAveraging averages the weights after each step"
    on_device.callbacks = []
    assert obstacle_to_capture(on_device) is None


@pytest.mark.parametrize(("before", "after"), [(None, 4), (4, None), (4, 4), (7, 4)])
def test_a_training_goes_on_with_other_executions(fit, tmp_path, before, after, assert_same_training):
    def train_in_two_parts(before, after, name):
        _, trainer = fit(before, max_epochs=2, lr_scheduler=WarmupCosineFor63)
        trainer.save_checkpoint(tmp_path / name)
        return fit(after, lr_scheduler=WarmupCosineFor63, ckpt_path=tmp_path / name)

    resumed = train_in_two_parts(before, after, "executions.ckpt")
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


@pytest.mark.long
def test_logs_are_written_at_the_same_steps(fit, tmp_path):
    def train(steps_per_execution, name):
        logger = CSVLogger(tmp_path, name=name)
        fit(
            steps_per_execution,
            logger=logger,
            log_every_n_steps=5,
            callbacks=[LearningRateMonitor(logging_interval="step")],
            val_check_interval=8,
        )
        return logged(tmp_path, name)

    single, executions = train(None, "single"), train(4, "executions")

    def steps(rows, column):
        return [int(row["step"]) for row in rows if row[column]]

    for column in ("train/loss", "lr-AdamW"):
        assert steps(single, column), column
        assert steps(executions, column) == steps(single, column), column
    assert steps(single, "val/loss") == [7, 15, 28, 36, 49, 57]
    assert steps(executions, "val/loss") == [7, 15, 20, 28, 36, 41, 49, 57, 62]  # a short last execution counts as one


def test_the_logged_loss_is_the_mean_of_the_execution(fit, tmp_path):
    def losses(steps_per_execution, name):
        fit(steps_per_execution, logger=CSVLogger(tmp_path, name=name), log_every_n_steps=1, max_epochs=1)
        return torch.tensor([float(row["train/loss"]) for row in logged(tmp_path, name) if row["train/loss"]])

    single, executions = losses(None, "single"), losses(4, "executions")
    expected = torch.stack([part.mean() for part in single.split(4)])
    torch.testing.assert_close(executions, expected)


def test_a_loader_of_ones_own_holds_several_batches_in_an_item(fit, data, assert_same_training):
    data.prepare_data()
    data.setup("fit")

    def train(steps_per_execution, batch_size):
        loader = DataLoader(data.dataset("train"), batch_size=batch_size, collate_fn=collate)
        with pytest.warns(UserWarning, match="fit_normalization|val_dataloader|validation_step"):
            return fit(steps_per_execution, loader=loader)

    executions = train(4, 4 * BATCH_SIZE)
    assert_same_training(train(None, BATCH_SIZE), executions)
    assert executions[0].lr_schedulers().total_steps == executions[1].global_step


def test_a_loader_that_does_not_fit_the_executions_is_refused(fit, data):
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
        ({"callbacks": [LearningRateFinder()]}, "LearningRateFinder has to see every step"),
        ({"callbacks": [BatchSizeFinder()]}, "BatchSizeFinder has to see every step"),
    ],
)
def test_settings_of_the_trainer_that_do_not_go_with_executions_are_refused(fit, options, message):
    with pytest.raises(ValueError, match=message):
        fit(4, **options)


def test_an_execution_has_at_least_one_step(fit):
    with pytest.raises(ValueError, match="steps_per_execution is at least 1, got 0"):
        fit(0)


class EverySecondStep(FNOModule):
    def configure_optimizers(self):
        configuration = super().configure_optimizers()
        configuration["lr_scheduler"]["frequency"] = 2
        return configuration


class ScaledLoss(FNOModule):
    def training_step(self, batch, batch_idx):
        return 3 * super().training_step(batch, batch_idx)


def test_a_training_step_of_ones_own_is_what_trains(fit, assert_same_training):
    options = {"module_class": ScaledLoss, "optimizer": plain_sgd}
    assert_same_training(fit(None, **options), fit(4, **options))
    trained, unscaled = (next(fit(4, **o)[0].parameters()) for o in (options, {"optimizer": plain_sgd}))
    assert not torch.equal(trained, unscaled)


class Outputs(Callback):
    def __init__(self):
        self.losses = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"])


def test_the_output_of_an_execution_is_its_last_loss(fit):
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
    executions = fit(4, optimizer=lbfgs, lr_scheduler=None, max_epochs=1)
    single = fit(None, optimizer=lbfgs, lr_scheduler=None, max_epochs=1)
    for expected, found in zip(single[0].parameters(), executions[0].parameters(), strict=True):
        assert torch.equal(found, expected)


def test_a_schedule_with_another_rhythm_is_refused(fit):
    with pytest.raises(ValueError, match="WarmupCosine has interval=step with frequency=2"):
        fit(4, module_class=EverySecondStep)
    with pytest.raises(ValueError, match=r"ExponentialLR has interval=step with frequency=2.*choose lr_interval=epoch"):
        fit(4, lr_scheduler=by_epoch, lr_interval="step", lr_frequency=2)


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


def test_a_checkpoint_after_a_test_counts_steps_too(fit, data, tmp_path):
    def progress(steps_per_execution):
        module, trainer = fit(steps_per_execution, max_epochs=2)
        trainer.test(module, data, verbose=False)
        trainer.save_checkpoint(tmp_path / "tested.ckpt")
        loop = torch.load(tmp_path / "tested.ckpt", weights_only=True)["loops"]["fit_loop"]
        return loop["epoch_loop.batch_progress"], loop["epoch_loop.state_dict"]

    assert progress(4) == progress(None)


def test_a_checkpoint_of_executions_trains_on_in_single_steps(fit, tmp_path):
    _, trainer = fit(4)
    trainer.save_checkpoint(tmp_path / "executions.ckpt")
    module, resumed = fit(None, max_epochs=4, ckpt_path=tmp_path / "executions.ckpt")
    assert "steps_per_execution" not in module.hparams
    assert resumed.global_step == 4 * STEPS_PER_EPOCH


def test_a_module_of_another_kind_is_refused(make_trainer):
    with pytest.raises(TypeError, match="MultiStepStrategy takes the steps of a ForecastModule, got BoringModel"):
        make_trainer(strategy=MultiStepStrategy(4)).fit(BoringModel())


def test_an_error_before_the_training_is_the_one_that_is_raised(data, make_trainer):
    module = FNOModule(data.spec, n_modes=(8,), n_steps_input=3)
    with pytest.raises(ValueError, match="the module takes n_steps_input=3 past frames"):
        make_trainer(strategy=MultiStepStrategy(4)).fit(module, data)


def test_several_devices_are_refused(make_trainer):
    with pytest.raises(ValueError, match="the trainer has 2: set devices=1, or use MultiStepDDPStrategy"):
        make_trainer(strategy=MultiStepStrategy(4), devices=2)


def test_a_subclass_of_the_module_inherits_no_hook_of_the_engine():
    hooks = {"optimizer_step", "optimizer_zero_grad", "backward", "on_train_batch_start", "teardown"}
    assert all(getattr(ForecastModule, hook) is getattr(L.LightningModule, hook) for hook in hooks)


def test_the_command_line_takes_the_strategy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    strategy = {"class_path": "fno_lightning.multistep.MultiStepStrategy", "init_args": {"steps_per_execution": 2}}
    trainer = {"strategy": strategy, "max_steps": 3, "accelerator": "cpu", "logger": False}
    Path("steps.yaml").write_text(yaml.safe_dump({"trainer": trainer | {"enable_checkpointing": False}}))
    pde = {"class_path": "tests.travelling_wave.TravellingWave"}
    data = {"class_path": "fno_lightning.data.GeneratedDataModule", "init_args": {"pde": pde, "n_steps_input": 2}}
    Path("data.yaml").write_text(yaml.safe_dump({"data": data}))
    model = ["--model", "FNOModule", "--model.init_args.n_modes", "[4]"]
    cli = main(["fit", "--config", "steps.yaml", "--config", "data.yaml", *model])
    assert cli.trainer.global_step == 3


def test_the_former_option_of_the_module_moves_to_the_trainer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pde = {"class_path": "tests.travelling_wave.TravellingWave"}
    data = {"class_path": "fno_lightning.data.GeneratedDataModule", "init_args": {"pde": pde, "n_steps_input": 2}}
    model = {"class_path": "FNOModule", "init_args": {"n_modes": [4], "steps_per_launch": 2}}
    trainer = {"max_steps": 3, "accelerator": "cpu", "logger": False, "enable_checkpointing": False}
    Path("old.yaml").write_text(yaml.safe_dump({"trainer": trainer, "model": model, "data": data}))
    with pytest.warns(FutureWarning, match="steps_per_launch: 2 is now trainer.strategy: .*MultiStepStrategy"):
        cli = main(["fit", "--config", "old.yaml"])
    assert cli.trainer.strategy.steps_per_execution == 2


def test_the_former_option_has_no_effect_in_python(data):
    with pytest.warns(FutureWarning, match=r"MultiStepStrategy\(steps_per_execution=4\); here it has no effect"):
        FNOModule(data.spec, n_modes=(8,), n_steps_input=2, steps_per_launch=4)
