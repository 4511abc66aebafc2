"""A training that is resumed from any of its checkpoints ends with the weights of one that was not interrupted."""

import math
import shutil
import warnings

import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint

from fno_lightning.data import OnTheFlyDataModule
from fno_lightning.losses import MSE, VRMSE, ReLoBRaLo, Spectrum
from fno_lightning.modules import FNOModule, WarmupCosine
from fno_lightning.multistep import MultiStepStrategy
from fno_lightning.unrolling import Pushforward
from tests.travelling_wave import TravellingWave

STEPS_PER_EPOCH = 7
N_EPOCHS = 2


@pytest.fixture
def train(tmp_path, make_trainer, make_data):
    """Train a network whose training draws random numbers of every kind; return the last checkpoint."""

    def run(
        name="whole",
        ckpt_path=None,
        *,
        seed=3,
        make=make_data,
        data=None,
        callbacks=(),
        loss=None,
        strategy="auto",
        lr_scheduler=WarmupCosine,
        n_epochs=N_EPOCHS,
        **options,
    ):
        seed_everything(seed)
        datamodule = make(n_steps_output=3, n_train=2, batch_size=3, **(data or {}))
        module = FNOModule(
            datamodule.spec,
            n_modes=(4,),
            hidden_channels=4,
            n_layers=2,
            channel_mlp_dropout=0.2,
            n_steps_input=2,
            input_noise=0.05,
            unrolling=Pushforward(probabilities=[0.5, 0.5], begin=0.0, end=0.5),
            loss=loss() if loss else MSE(),
            lr_scheduler=lr_scheduler,
        )
        keep = ModelCheckpoint(
            tmp_path / name, filename="{step}", every_n_train_steps=1, save_top_k=-1, save_last=False
        )
        trainer = make_trainer(
            keep,
            *(make() for make in callbacks),
            max_epochs=n_epochs,
            limit_train_batches=STEPS_PER_EPOCH,
            enable_checkpointing=True,
            strategy=strategy() if callable(strategy) else strategy,
            **options,
        )
        trainer.fit(module, datamodule, ckpt_path=ckpt_path)
        steps = math.ceil(STEPS_PER_EPOCH / options.get("accumulate_grad_batches", 1))
        assert trainer.global_step == n_epochs * steps
        return trainer

    return run


def same(first, second):
    """Require everything that a further training depends on to be equal, bit by bit."""
    first, second = (torch.load(path, weights_only=True) for path in (first, second))
    for checkpoint in (first, second):
        assert checkpoint["random_state"]["numpy"].pop("bit_generator") == "MT19937"
        assert checkpoint["random_state"].pop("seed") == "3"
        del checkpoint["random_state"]["python"]  # file systems draw from it too, for names of temporary files
        names = [{k: v for k, v in state.items() if isinstance(v, str)} for state in checkpoint["lr_schedulers"]]
        assert names == [{}] or names == [{"mode": "min", "threshold_mode": "abs"}]
        for state, texts in zip(checkpoint["lr_schedulers"], names, strict=True):
            for name in texts:
                del state[name]
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "random_state", "callbacks"):
        mine, others = first[part], second[part]
        if part == "callbacks":
            mine, others = ({k: v for k, v in one.items() if "ModelCheckpoint" not in k} for one in (mine, others))
        torch.testing.assert_close(mine, others, rtol=0, atol=0)
    assert first.get("averaging_state", {}).keys() == second.get("averaging_state", {}).keys()


STEPS = [1, 5, STEPS_PER_EPOCH - 1, STEPS_PER_EPOCH, STEPS_PER_EPOCH + 2]
LAST = f"step={N_EPOCHS * STEPS_PER_EPOCH}.ckpt"


def resumed_is_the_same(train, tmp_path, **options):
    train("whole", **options)
    for step in STEPS:
        train(f"from-{step}", tmp_path / "whole" / f"step={step}.ckpt", **options)
        same(tmp_path / "whole" / LAST, tmp_path / f"from-{step}" / LAST)
        shutil.rmtree(tmp_path / f"from-{step}")


def test_from_any_step(train, tmp_path):
    resumed_is_the_same(train, tmp_path)


@pytest.mark.long
def test_with_workers_that_read_ahead(train, tmp_path):
    resumed_is_the_same(train, tmp_path, data={"num_workers": 1})


def test_with_several_grids(train, tmp_path):
    resumed_is_the_same(train, tmp_path, data={"train_strides": [1, 2]})


def test_with_averaged_weights(train, tmp_path):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You're using the WeightAveraging callback with a model that overrides")
        resumed_is_the_same(train, tmp_path, callbacks=[lambda: EMAWeightAveraging(decay=0.9)])


def test_with_averaged_weights_and_several_steps_at_once(train, tmp_path):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You're using the WeightAveraging callback with a model that overrides")
        averages = [lambda: EMAWeightAveraging(decay=0.9)]
        resumed_is_the_same(train, tmp_path, callbacks=averages, strategy=lambda: MultiStepStrategy(3))


def test_with_balanced_losses(train, tmp_path):
    resumed_is_the_same(train, tmp_path, loss=lambda: ReLoBRaLo([VRMSE(), Spectrum()]))


def test_with_accumulated_gradients(train, tmp_path):
    options = {"accumulate_grad_batches": 2}  # the last step of an epoch has one batch
    train("whole", **options)
    for step in (1, 3, 4, 6):
        train(f"from-{step}", tmp_path / "whole" / f"step={step}.ckpt", **options)
        same(tmp_path / "whole" / "step=8.ckpt", tmp_path / f"from-{step}" / "step=8.ckpt")


@pytest.mark.parametrize("at_once", [3, 4])  # epochs of items of 3, 3 and 1 steps, or of 4 and 3
def test_with_several_steps_at_once(train, tmp_path, at_once):
    resumed_is_the_same(train, tmp_path, strategy=lambda: MultiStepStrategy(at_once))


def test_with_samples_that_are_simulated_for_each_step(train, tmp_path):
    def make(**options):
        del options["n_train"]
        return OnTheFlyDataModule(
            TravellingWave(grid=(16,)),
            n_steps_input=2,
            samples_per_epoch=28,
            n_valid=2,
            n_test=2,
            n_statistics=4,
            **options,
        )

    resumed_is_the_same(train, tmp_path, make=make)


class Validations(Callback):
    """Record of the steps after which a validation, or an epoch, ended."""

    def __init__(self):
        self.steps = []

    def on_validation_end(self, trainer, pl_module):
        self.steps.append(("validation", trainer.global_step))

    def on_train_epoch_end(self, trainer, pl_module):
        self.steps.append(("epoch", trainer.global_step))


def by_validation(optimizer):
    return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=1e3, threshold_mode="abs")


@pytest.mark.parametrize("at_once", [None, 3])
def test_validations_and_schedules_that_follow_them_go_on(train, tmp_path, at_once):
    ends = [(what, step) for step in (7, 14, 21) for what in ("validation", "epoch")]

    def run(name, ckpt_path=None):
        seen = Validations()
        after_validation = ModelCheckpoint(tmp_path / f"{name}-validated", "{step}", "val/vrmse", save_top_k=-1)
        train(
            name,
            ckpt_path,
            callbacks=[lambda: seen, lambda: after_validation],
            lr_scheduler=by_validation,
            n_epochs=3,
            strategy="auto" if at_once is None else MultiStepStrategy(at_once),
        )
        return seen.steps

    assert run("whole") == ends
    rates = torch.load(tmp_path / "whole" / "step=21.ckpt", weights_only=True)["optimizer_states"][0]["param_groups"]
    assert rates[0]["lr"] < 1e-3
    for folder, step, left in (
        ("whole", 6, ends),
        ("whole", 7, ends),
        ("whole-validated", 7, ends[2:]),  # saved when the epoch ends
        ("whole", 9, ends[2:]),
        ("whole-validated", 14, ends[4:]),
    ):
        name = f"from-{folder}-{step}"
        assert run(name, tmp_path / folder / f"step={step}.ckpt") == left
        same(tmp_path / "whole-validated" / "step=21.ckpt", tmp_path / f"{name}-validated" / "step=21.ckpt")


@pytest.mark.parametrize("first", [STEPS_PER_EPOCH - 1, STEPS_PER_EPOCH])
def test_a_training_that_was_resumed_is_resumed_again(train, tmp_path, first):
    train("whole")
    train("first", tmp_path / "whole" / f"step={first}.ckpt")
    train("second", tmp_path / "first" / f"step={STEPS_PER_EPOCH + 2}.ckpt")
    same(tmp_path / "whole" / LAST, tmp_path / "second" / LAST)


def test_no_checkpoint_is_saved_in_the_middle_of_accumulated_gradients(train, tmp_path):
    train("whole", accumulate_grad_batches=2)
    train("resumed", tmp_path / "whole" / "step=4.ckpt", accumulate_grad_batches=2)
    assert sorted(path.name for path in (tmp_path / "resumed").iterdir()) == [
        f"step={step}.ckpt" for step in range(5, 9)
    ]


def test_the_seed_of_the_training_is_the_first_one(train, tmp_path):
    train("whole")
    train("resumed", tmp_path / "whole" / "step=5.ckpt", seed=4)
    same(tmp_path / "whole" / LAST, tmp_path / "resumed" / LAST)
