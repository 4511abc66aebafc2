import pytest
from lightning.pytorch.callbacks import Callback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fno_lightning.callbacks import Throughput, throughput
from fno_lightning.multistep import MultiStepStrategy
from tests.callbacks.waves import WaveData, WaveModule, make_module

STEP, VALIDATION, COMPILATION = 0.125, 3.0, 100.0


class Clock(Callback):
    """Time as the device would take it: a first step that compiles, other steps, and validations."""

    def __init__(self):
        self.time = 0.0

    def on_validation_epoch_end(self, trainer, module):
        self.time += VALIDATION


class Slow(WaveModule):
    def training_step(self, batch, batch_idx):
        self.clock.time += STEP if self.global_step else COMPILATION
        return super().training_step(batch, batch_idx)


def rates(folder):
    board = EventAccumulator(str(folder))
    board.Reload()
    return {
        name: [(event.step, event.value) for event in board.Scalars(f"throughput/{name}")]
        for name in ("samples_per_s", "batches_per_s")
    }


def test_measures_steps_without_warmup_and_validation(make_trainer, tmp_path, monkeypatch):
    clock, data = Clock(), WaveData()
    monkeypatch.setattr(throughput, "_now", lambda trainer: clock.time)
    module = make_module(data, Slow)
    module.clock = clock
    trainer = make_trainer(Throughput(window=4, n_warmup_steps=1), clock, max_epochs=5)
    trainer.fit(module, datamodule=data)
    found = rates(tmp_path / "log" / "version_0")
    assert found["batches_per_s"] == [(5, 1 / STEP), (9, 1 / STEP), (10, 1 / STEP)]
    assert found["samples_per_s"] == [(5, 2 / STEP), (9, 2 / STEP), (10, 2 / STEP)]


class ExecutionClock(Callback):
    """Time as the device would take it for executions of two steps."""

    def __init__(self):
        self.time = 0.0

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.time += 2 * STEP


def test_counts_the_steps_of_executions(make_trainer, tmp_path, monkeypatch):
    clock, data = ExecutionClock(), WaveData()
    monkeypatch.setattr(throughput, "_now", lambda trainer: clock.time)
    trainer = make_trainer(Throughput(window=3, n_warmup_steps=1), clock, max_epochs=5, strategy=MultiStepStrategy(2))
    module = WaveModule(spec=data.spec, n_steps_input=data.n_steps_input)
    trainer.fit(module, datamodule=data)
    found = rates(tmp_path / "log" / "version_0")
    assert found["batches_per_s"] == [(6, 1 / STEP), (10, 1 / STEP)]
    assert found["samples_per_s"] == [(6, 2 / STEP), (10, 2 / STEP)]


def test_a_short_training_logs_what_it_has(make_trainer, tmp_path):
    data = WaveData()
    make_trainer(Throughput(n_warmup_steps=1), max_epochs=2).fit(make_module(data), datamodule=data)
    assert [step for step, _ in rates(tmp_path / "log" / "version_0")["samples_per_s"]] == [4]


def test_works_without_a_logger(make_trainer):
    data = WaveData()
    make_trainer(Throughput(window=1, n_warmup_steps=0), tensorboard=False).fit(make_module(data), datamodule=data)


@pytest.mark.parametrize("options", [{"window": 0}, {"n_warmup_steps": -1}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match="window must be at least 1 and n_warmup_steps at least 0"):
        Throughput(**options)
