"""The logic around CUDA graphs, with a stand-in that repeats a function instead of a graph; CUDA itself is not run."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from fno_lightning.data import Batch
from fno_lightning.modules import FNOModule, WarmupCosine
from fno_lightning.modules.captured_launch import CapturedLaunch, obstacle_to_capture
from fno_lightning.modules.cuda_graphs import make_capturable
from fno_lightning.modules.recording import Recording, settings_of

STEPS_PER_EPOCH = 21
"""Of batches of 3; launches of 4 steps leave one step for the last launch of an epoch."""


class Repetition:
    """Repeats a function where a CUDA graph repeats its work: on the memory that the function was given at first."""

    def __init__(self):
        self.n_warm_ups = self.n_recorded = self.n_replayed = 0

    def prepare(self, optimizer):
        pass

    @contextmanager
    def warm_up(self):
        self.n_warm_ups += 1
        yield

    def record(self, function):
        self.n_recorded += 1

        def replay():
            self.n_replayed += 1
            function()

        return replay


class Refusal(Repetition):
    def record(self, function):
        raise RuntimeError("operation not permitted when stream is capturing")


class CyclingModule(FNOModule):
    """Its schedule changes a moment of Adam in every step, too."""

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=100)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


@pytest.fixture
def fit(make_data, make_trainer, monkeypatch):
    """Trains with single steps, or with launches that a recorder records."""

    def run(recorder=None, module_class=FNOModule, lr_scheduler=WarmupCosine, **options):
        data = make_data(batch_size=3, n_train=4)
        torch.manual_seed(0)
        module = module_class(
            data.spec,
            n_modes=(8,),
            hidden_channels=8,
            n_layers=2,
            n_steps_input=2,
            steps_per_launch=None if recorder is None else options.pop("steps_per_launch", 4),
            lr_scheduler=lr_scheduler,
        )
        monkeypatch.setattr(
            "fno_lightning.modules.launching.launch_for",
            lambda module, trainer, steps: CapturedLaunch(module, trainer, steps, recorder),
        )
        trainer = make_trainer(**({"max_epochs": 3, "gradient_clip_val": 0.5, "precision": "64-true"} | options))
        torch.manual_seed(1)
        trainer.fit(module, data)
        return module, trainer

    return run


def assert_same_training(one, other, **tolerance):
    (module, trainer), (other_module, other_trainer) = one, other
    assert trainer.global_step == other_trainer.global_step
    torch.testing.assert_close(dict(other_module.named_parameters()), dict(module.named_parameters()), **tolerance)
    states = (t.optimizers[0].state_dict() for t in (other_trainer, trainer))
    torch.testing.assert_close(*states, **tolerance)


def test_replayed_steps_equal_single_steps_bit_by_bit(fit):
    recorder = Repetition()
    launches = fit(recorder)
    assert (recorder.n_warm_ups, recorder.n_recorded, recorder.n_replayed) == (1, 1, 3 * 5 - 1)
    assert_same_training(fit(), launches, rtol=0, atol=0)


def test_single_precision_learning_rates_differ_by_round_off_only(fit):
    assert_same_training(fit(precision="32-true"), fit(Repetition(), precision="32-true"))


def test_short_launches_warm_up_several_times(fit):
    recorder = Repetition()
    launches = fit(recorder, steps_per_launch=1)
    assert (recorder.n_warm_ups, recorder.n_recorded, recorder.n_replayed) == (3, 1, 3 * STEPS_PER_EPOCH - 3)
    assert_same_training(fit(), launches, rtol=0, atol=0)


def test_a_schedule_of_more_than_the_learning_rate_is_not_replayed(fit):
    recorder = Repetition()
    launches = fit(recorder, CyclingModule)
    assert recorder.n_replayed == 0
    assert_same_training(fit(None, CyclingModule), launches, rtol=0, atol=0)


def test_checkpoints_within_a_launch_are_saved_after_their_steps(fit, tmp_path):
    def save(recorder, name):
        callback = ModelCheckpoint(dirpath=tmp_path / name, every_n_train_steps=10, save_top_k=-1, filename="{step}")
        fit(recorder, callbacks=[callback], enable_checkpointing=True)
        return {path.name: torch.load(path, weights_only=True) for path in (tmp_path / name).iterdir()}

    recorder = Repetition()
    single, launches = save(None, "single"), save(recorder, "launches")
    assert recorder.n_replayed > 0
    assert set(single) == set(launches) == {f"step={step}.ckpt" for step in range(10, 3 * STEPS_PER_EPOCH, 10)}
    for name, expected in single.items():
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
            torch.testing.assert_close(launches[name][part], expected[part], rtol=0, atol=0)


def test_what_cannot_be_recorded_is_a_plain_loop(fit, caplog):
    with caplog.at_level("INFO", logger="lightning.pytorch"):
        launches = fit(Refusal())
    reasons = [record.message for record in caplog.records if "cannot be captured" in record.message]
    assert len(reasons) == 1
    assert "operation not permitted when stream is capturing" in reasons[0]
    assert_same_training(fit(), launches, rtol=0, atol=0)


def test_a_checkpoint_of_captured_steps_loads_on_any_device(fit, tmp_path):
    _, trainer = fit(Repetition())
    trainer.optimizers[0].param_groups[0]["capturable"] = True
    trainer.save_checkpoint(tmp_path / "captured.ckpt")
    state = torch.load(tmp_path / "captured.ckpt", weights_only=True)["optimizer_states"][0]
    assert state["param_groups"][0]["capturable"] is False


def test_steps_are_counted_on_the_device():
    parameter = torch.nn.Parameter(torch.ones(3, device="meta"))  # stands for a device that is not the counter's
    optimizer = torch.optim.Adam([parameter])
    optimizer.state[parameter] = {"step": torch.tensor(3.0)}
    make_capturable(optimizer)
    assert optimizer.param_groups[0]["capturable"] is True
    assert optimizer.state[parameter]["step"].device.type == "meta"


def test_a_recording_fits_batches_of_its_shapes_only():
    def item(n_points):
        return Batch(
            torch.zeros(4, 1, 1, n_points), torch.zeros(4, 0, n_points), torch.zeros(4, 0), torch.zeros(4, 1, 1, 8)
        )

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    recording = Recording(item(8), 2, optimizer, lambda batch: batch.target.sum(), torch.float32, Repetition())
    settings = [[dict(optimizer.param_groups[0]) | {"params": None}]]
    fixed = [[{name: value for name, value in settings[0][0].items() if isinstance(value, int | float | tuple)}]]
    assert recording.fits(item(8), fixed)
    assert not recording.fits(item(16), fixed)
    assert not recording.fits(item(8), [[fixed[0][0] | {"momentum": 0.5}]])


def test_a_recording_does_not_fit_parameters_and_states_that_have_moved():
    parameter = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.5)
    optimizer.state[parameter]["momentum_buffer"] = torch.zeros(1)
    item = Batch(torch.zeros(4, 1, 1, 8), torch.zeros(4, 0, 8), torch.zeros(4, 0), torch.zeros(4, 1, 1, 8))
    recording = Recording(item, 2, optimizer, lambda batch: batch.target.sum(), torch.float32, Repetition())
    settings = [settings_of(optimizer)]
    old = parameter.data
    assert recording.fits(item, settings)
    parameter.data = old.clone()
    assert not recording.fits(item, settings)
    parameter.data = old
    parameter.requires_grad_(False)
    assert not recording.fits(item, settings)
    parameter.requires_grad_(True)
    assert recording.fits(item, settings)
    moved = optimizer.state[parameter]["momentum_buffer"] = torch.zeros(1)
    assert not recording.fits(item, settings), moved


def test_steps_outside_a_graph_are_not_warned_of(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "current_stream", lambda: SimpleNamespace(is_capturing=lambda: False))
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(1))])
    make_capturable(optimizer)
    optimizer.step()  # warnings are errors here


@pytest.mark.parametrize(
    ("optimizer", "device", "activations", "message"),
    [
        (torch.optim.AdamW, "cuda", "auto", None),
        (torch.optim.AdamW, "cpu", "auto", "the device is cpu"),
        (torch.optim.SGD, "cuda", "auto", "SGD has no option capturable"),
        (lambda weights: torch.optim.Adam(weights, lr=torch.tensor(0.1)), "cuda", "auto", "learning rate is a tensor"),
        (torch.optim.AdamW, "cuda", "offload", "activations: offload"),
    ],
)
def test_what_is_in_the_way_of_capture_is_known_beforehand(optimizer, device, activations, message):
    trainer = SimpleNamespace(
        lightning_module=SimpleNamespace(activations=activations),
        optimizers=[optimizer([torch.nn.Parameter(torch.ones(1))])],
        strategy=SimpleNamespace(root_device=torch.device(device)),
    )
    obstacle = obstacle_to_capture(trainer)
    assert obstacle is None if message is None else message in obstacle
