"""A training that a signal ends: its checkpoint, its exit status, and what it goes on with."""

import os
import signal

import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from fno_lightning import FNOModule
from fno_lightning.callbacks import StopOnSignal
from fno_lightning.checkpoints import last_checkpoint
from fno_lightning.multistep import MultiStepStrategy
from tests.two_processes import join, results_of


class Signals(Callback):
    """Sends itself a signal within a step."""

    def __init__(self, step, number=signal.SIGUSR1):
        self.step, self.number = step, number

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == self.step:
            os.kill(os.getpid(), self.number)


def make(make_data, seed=0):
    seed_everything(seed)
    data = make_data(batch_size=2)
    return FNOModule(data.spec, n_modes=(4,), hidden_channels=4, n_layers=1, n_steps_input=2), data


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.filterwarnings("ignore:.*exists and is not empty")
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM], ids=["SIGUSR1", "SIGTERM"])
def test_a_training_that_was_ended_goes_on_to_the_same_weights(make_data, make_trainer, tmp_path, number, caplog):
    caplog.set_level("INFO", logger="lightning.pytorch")
    module, data = make(make_data)
    make_trainer(max_epochs=2).fit(module, data)
    expected = weights(module)

    saver = ModelCheckpoint(tmp_path / "saved", save_last=True)
    module, data = make(make_data)
    before = signal.getsignal(number)
    trainer = make_trainer(saver, StopOnSignal(), Signals(5, number), max_epochs=2, enable_checkpointing=True)
    with pytest.raises(SystemExit) as stopped:
        trainer.fit(module, data)
    assert stopped.value.code == 75
    assert signal.getsignal(number) is before
    file = tmp_path / "saved" / "last-interrupted.ckpt"
    assert torch.load(file, weights_only=True)["global_step"] == 6
    assert f"ended by {number.name} at step 6; --ckpt_path last goes on from {file}" in caplog.text

    module, data = make(make_data, seed=1)
    saver = ModelCheckpoint(tmp_path / "saved", save_last=True)
    trainer = make_trainer(saver, StopOnSignal(), max_epochs=2, enable_checkpointing=True)
    assert last_checkpoint(trainer) == str(file)
    trainer.fit(module, data, ckpt_path=file, weights_only=True)
    torch.testing.assert_close(weights(module), expected, rtol=0, atol=0)


def test_several_steps_at_once_end_together(make_data, make_trainer, tmp_path):
    module, data = make(make_data)
    strategy = MultiStepStrategy(steps_per_execution=3)
    with pytest.raises(SystemExit):
        make_trainer(StopOnSignal(), Signals(3), strategy=strategy, max_epochs=2).fit(module, data)
    assert torch.load(tmp_path / "last-interrupted.ckpt", weights_only=True)["global_step"] == 6


def test_without_a_signal_nothing_happens(make_data, make_trainer, tmp_path):
    before = signal.getsignal(signal.SIGUSR1)
    module, data = make(make_data)
    make_trainer(StopOnSignal()).fit(module, data)
    assert signal.getsignal(signal.SIGUSR1) is before
    assert not list(tmp_path.glob("*.ckpt"))


def train(rank, port, folder):
    import lightning as L

    from fno_lightning.data import GeneratedDataModule
    from tests.travelling_wave import TravellingWave

    join(rank, port)
    data = GeneratedDataModule(TravellingWave(grid=(16,)), f"{folder}/data", n_train=4, n_steps_input=2, batch_size=2)
    module = FNOModule(data.spec, n_modes=(4,), hidden_channels=4, n_layers=1, n_steps_input=2)
    trainer = L.Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        max_epochs=4,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        callbacks=[StopOnSignal(every_n_steps=4), *([Signals(5)] if rank == 1 else [])],
    )
    try:
        trainer.fit(module, data)
    except SystemExit as stopped:
        return stopped.code, trainer.global_step
    return None


@pytest.mark.long
def test_processes_end_at_the_same_step_when_one_of_them_meets_the_signal(tmp_path):
    assert results_of(train, str(tmp_path)) == [(75, 8), (75, 8)]
    assert torch.load(tmp_path / "last-interrupted.ckpt", weights_only=True)["global_step"] == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"signals": ["SIGKILL"]}, "cannot wait for 'SIGKILL'"),
        ({"signals": ["USR1"]}, "expected a name such as SIGTERM"),
        ({"every_n_steps": 0}, "every_n_steps of StopOnSignal is 0"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        StopOnSignal(**options)
