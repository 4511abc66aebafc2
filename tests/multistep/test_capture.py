"""The logic around CUDA graphs, with a stand-in that repeats a function instead of a graph; CUDA itself is not run."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from fno_lightning.callbacks import IncrementalModes
from fno_lightning.data import Batch
from fno_lightning.modules import FNOModule
from fno_lightning.multistep.capture import CapturedExecution, CapturedSteps, obstacle_to_capture, settings_of
from fno_lightning.multistep.cuda_graphs import make_capturable
from tests.multistep.conftest import STEPS_PER_EPOCH


class Repetition:
    """Repeats a function where a CUDA graph repeats its work: on the memory that the function was given at first."""

    def __init__(self):
        self.n_warm_ups = self.n_captured = self.n_replayed = 0

    def prepare(self, optimizer):
        pass

    @contextmanager
    def warm_up(self):
        self.n_warm_ups += 1
        yield

    def capture(self, function):
        self.n_captured += 1

        def replay():
            self.n_replayed += 1
            function()

        return replay


class Refusal(Repetition):
    def capture(self, function):
        raise RuntimeError("operation not permitted when stream is capturing")


class CyclingModule(FNOModule):
    """Its schedule changes a moment of Adam in every step, too."""

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=100)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


@pytest.fixture
def capture(fit, monkeypatch):
    """Trains with single steps, or with executions that a stand-in captures."""

    def run(graphs=None, module_class=FNOModule, steps_per_execution=4, **options):
        monkeypatch.setattr(
            "fno_lightning.multistep.strategy.execution_for",
            lambda module, trainer, steps: CapturedExecution(module, trainer, steps, graphs),
        )
        options = {"gradient_clip_val": 0.5, "precision": "64-true"} | options
        return fit(None if graphs is None else steps_per_execution, module_class=module_class, **options)

    return run


def test_replayed_steps_equal_single_steps_bit_by_bit(capture, assert_same_training):
    graphs = Repetition()
    executions = capture(graphs)
    assert (graphs.n_warm_ups, graphs.n_captured, graphs.n_replayed) == (1, 1, 3 * 5 - 1)
    assert_same_training(capture(), executions)


def test_single_precision_learning_rates_differ_by_round_off_only(capture, assert_same_training):
    assert_same_training(
        capture(precision="32-true"), capture(Repetition(), precision="32-true"), rtol=1.3e-6, atol=1e-5
    )


def test_short_executions_warm_up_several_times(capture, assert_same_training):
    graphs = Repetition()
    executions = capture(graphs, steps_per_execution=1)
    assert (graphs.n_warm_ups, graphs.n_captured, graphs.n_replayed) == (3, 1, 3 * STEPS_PER_EPOCH - 3)
    assert_same_training(capture(), executions, rtol=0, atol=0)


def test_a_schedule_of_more_than_the_learning_rate_is_not_replayed(capture, assert_same_training):
    graphs = Repetition()
    executions = capture(graphs, CyclingModule)
    assert graphs.n_replayed == 0
    assert_same_training(capture(None, CyclingModule), executions, rtol=0, atol=0)


def test_checkpoints_within_an_execution_are_saved_after_their_steps(capture, tmp_path):
    def save(graphs, name):
        callback = ModelCheckpoint(dirpath=tmp_path / name, every_n_train_steps=10, save_top_k=-1, filename="{step}")
        capture(graphs, callbacks=[callback], enable_checkpointing=True)
        return {path.name: torch.load(path, weights_only=True) for path in (tmp_path / name).iterdir()}

    graphs = Repetition()
    single, executions = save(None, "single"), save(graphs, "executions")
    assert graphs.n_replayed > 0
    assert set(single) == set(executions) == {f"step={step}.ckpt" for step in range(10, 3 * STEPS_PER_EPOCH, 10)}
    for name, expected in single.items():
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
            torch.testing.assert_close(executions[name][part], expected[part], rtol=0, atol=0)


def test_what_cannot_be_recorded_is_a_plain_loop(capture, caplog, assert_same_training):
    with caplog.at_level("INFO", logger="lightning.pytorch"):
        executions = capture(Refusal())
    reasons = [record.message for record in caplog.records if "cannot be captured" in record.message]
    assert len(reasons) == 1
    assert "operation not permitted when stream is capturing" in reasons[0]
    assert_same_training(capture(), executions, rtol=0, atol=0)


def test_a_checkpoint_of_captured_steps_loads_on_any_device(capture, tmp_path):
    _, trainer = capture(Repetition())
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


def test_a_captured_fits_batches_of_its_shapes_only():
    def item(n_points):
        return Batch(
            torch.zeros(4, 1, 1, n_points), torch.zeros(4, 0, n_points), torch.zeros(4, 0), torch.zeros(4, 1, 1, 8)
        )

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    captured = CapturedSteps(item(8), 2, optimizer, lambda batch: batch.target.sum(), torch.float32, Repetition())
    settings = [[dict(optimizer.param_groups[0]) | {"params": None}]]
    fixed = [[{name: value for name, value in settings[0][0].items() if isinstance(value, int | float | tuple)}]]
    assert captured.fits(item(8), fixed)
    assert not captured.fits(item(16), fixed)
    assert not captured.fits(item(8), [[fixed[0][0] | {"momentum": 0.5}]])


def test_a_captured_does_not_fit_parameters_and_states_that_have_moved():
    parameter = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.5)
    optimizer.state[parameter]["momentum_buffer"] = torch.zeros(1)
    item = Batch(torch.zeros(4, 1, 1, 8), torch.zeros(4, 0, 8), torch.zeros(4, 0), torch.zeros(4, 1, 1, 8))
    captured = CapturedSteps(item, 2, optimizer, lambda batch: batch.target.sum(), torch.float32, Repetition())
    settings = [settings_of(optimizer)]
    old = parameter.data
    assert captured.fits(item, settings)
    parameter.data = old.clone()
    assert not captured.fits(item, settings)
    parameter.data = old
    parameter.requires_grad_(False)
    assert not captured.fits(item, settings)
    parameter.requires_grad_(True)
    assert captured.fits(item, settings)
    moved = optimizer.state[parameter]["momentum_buffer"] = torch.zeros(1)
    assert not captured.fits(item, settings), moved


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
        (torch.optim.AdamW, "cuda", "offload", "activation_checkpointing: offload"),
    ],
)
def test_what_is_in_the_way_of_capture_is_known_beforehand(optimizer, device, activations, message):
    trainer = SimpleNamespace(
        callbacks=[],
        lightning_module=SimpleNamespace(activation_checkpointing=activations),
        optimizers=[optimizer([torch.nn.Parameter(torch.ones(1))])],
        strategy=SimpleNamespace(root_device=torch.device(device)),
    )
    obstacle = obstacle_to_capture(trainer)
    assert obstacle is None if message is None else message in obstacle


def test_more_modes_are_captured_anew(capture, assert_same_training):
    class Growing(IncrementalModes):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if trainer.is_last_batch and trainer.current_epoch == 0:
                self.decide(trainer, [True])

    graphs = Repetition()
    executions = capture(graphs, callbacks=[Growing(4)])
    assert (graphs.n_warm_ups, graphs.n_captured) == (2, 2)
    assert executions[0].network.blocks[0].conv.kept_modes == (6,)
    assert_same_training(capture(callbacks=[Growing(4)]), executions)
