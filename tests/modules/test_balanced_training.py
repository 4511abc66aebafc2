"""Trainings with losses whose weights follow them."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import FSDPStrategy, SingleDeviceStrategy
from lightning.pytorch.tuner import Tuner

from fno_lightning.cli import main
from fno_lightning.losses import MSE, RMSE, VRMSE, ByField, InverseGradientNorm, ReLoBRaLo, SoftAdapt, Spectrum
from fno_lightning.modules import FNOModule
from fno_lightning.modules.balanced_training import BalancedTraining
from fno_lightning.multistep import MultiStepStrategy
from fno_lightning.multistep.capture import CapturedExecution
from tests.multistep.test_capture import Repetition
from tests.two_processes import join, results_of

LOSSES = {
    "soft_adapt": lambda: SoftAdapt([VRMSE(), Spectrum()], temperature=0.5),
    "relobralo": lambda: ReLoBRaLo({"fields": ByField(default=MSE()), "spectrum": Spectrum()}, alpha=0.5, rho=0.5),
    "gradients": lambda: InverseGradientNorm([MSE(), Spectrum()], alpha=0.5),
}
every_loss = pytest.mark.parametrize("make_loss", LOSSES.values(), ids=LOSSES)


@pytest.fixture
def data(make_data):
    """Waves whose training batches come in order: the state of the shuffling does not lie in a checkpoint."""
    data = make_data(n_train=1)
    data.train_dataloader = lambda: data._loader(data.dataset("train"), batch_size=4 * (data._batches_at_once or 1))
    return data


def make_module(data, loss, **options):
    torch.manual_seed(0)
    module = FNOModule(data.spec, (4,), 4, n_layers=1, n_steps_input=2, loss=loss, **options)
    module.configure_model()
    return module


def fit(make_trainer, data, loss, ckpt_path=None, callbacks=(), module_options=None, **options):
    module = make_module(data, loss, **(module_options or {}))
    trainer = make_trainer(*callbacks, **({"limit_val_batches": 0} | options))
    trainer.fit(module, data, ckpt_path=ckpt_path)
    return module, trainer


def state_of(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def assert_equal(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@every_loss
def test_a_resumed_training_has_the_same_weights_bit_by_bit(data, make_trainer, make_loss, tmp_path):
    whole, _ = fit(make_trainer, data, make_loss(), max_epochs=4)
    _, trainer = fit(make_trainer, data, make_loss(), max_epochs=2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed, _ = fit(make_trainer, data, make_loss(), max_epochs=4, ckpt_path=tmp_path / "half.ckpt")
    assert_equal(state_of(resumed), state_of(whole))
    assert whole.loss.n_updates == 4 * len(data.train_dataloader())
    assert (whole.loss.weights - 1).abs().max() > 1e-3


@every_loss
def test_validation_does_not_move_the_weights(data, make_trainer, make_loss):
    options = {"max_epochs": 2, "val_check_interval": 2}
    validated, _ = fit(make_trainer, data, make_loss(), limit_val_batches=1.0, num_sanity_val_steps=2, **options)
    alone, _ = fit(make_trainer, data, make_loss(), **options)
    assert_equal(state_of(validated), state_of(alone))


def test_a_checkpoint_does_not_hold_a_run_to_its_loss(data, make_trainer, tmp_path, caplog):
    module, trainer = fit(make_trainer, data, LOSSES["relobralo"]())
    trainer.save_checkpoint(tmp_path / "balanced.ckpt")
    loaded = FNOModule.load_from_checkpoint(tmp_path / "balanced.ckpt", weights_only=True)
    batch = next(iter(data.test_dataloader()))
    torch.testing.assert_close(loaded.forecast(batch), module.forecast(batch))
    for other in (MSE(), torch.nn.SmoothL1Loss(), LOSSES["soft_adapt"]()):
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="lightning.pytorch"):
            resumed, _ = fit(make_trainer, data, other, max_epochs=2, ckpt_path=tmp_path / "balanced.ckpt")
        starts_anew = "the weights of the losses start anew" in caplog.text
        assert starts_anew is isinstance(other, SoftAdapt)
    assert resumed.loss.n_updates == len(data.train_dataloader())


class Weights(Callback):
    """Keeps the weights of the losses after each batch."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.seen.append(pl_module.loss.weights.clone())


@every_loss
def test_weights_advance_once_in_an_optimizer_step(data, make_trainer, make_loss):
    record = Weights()
    options = {"accumulate_grad_batches": 3, "max_epochs": 2}
    module, trainer = fit(make_trainer, data, make_loss(), callbacks=[record], **options)
    n_batches = trainer.num_training_batches
    assert n_batches % 3 == 1  # the last step of an epoch has one batch
    assert module.loss.n_updates == trainer.global_step == 2 * (n_batches // 3 + 1)
    for epoch in (record.seen[:n_batches], record.seen[n_batches:]):
        for first in range(0, n_batches - 1, 3):
            assert_equal(epoch[first + 1], epoch[first])
            assert_equal(epoch[first + 2], epoch[first])
            assert not torch.equal(epoch[first + 3], epoch[first])


def test_an_optimizer_that_computes_the_loss_several_times_sees_one_loss(data, make_trainer):
    lbfgs = {"optimizer": lambda parameters: torch.optim.LBFGS(parameters, lr=1e-3, max_iter=4)}
    module, trainer = fit(make_trainer, data, LOSSES["soft_adapt"](), module_options=lbfgs)
    assert module.loss.n_updates == trainer.global_step


@every_loss
def test_executions_have_the_weights_of_single_steps(data, make_trainer, make_loss, monkeypatch):
    def train(strategy="auto"):
        return state_of(fit(make_trainer, data, make_loss(), strategy=strategy, max_epochs=2)[0])

    single = train()
    assert_equal(train(MultiStepStrategy(3)), single)
    graphs = Repetition()
    monkeypatch.setattr(
        "fno_lightning.multistep.strategy.execution_for",
        lambda module, trainer, steps: CapturedExecution(module, trainer, steps, graphs),
    )
    captured = train(MultiStepStrategy(3))
    assert graphs.n_replayed > 0
    for name, value in captured.items():  # the learning rate is a float32 tensor there
        torch.testing.assert_close(value, single[name], rtol=1e-3, atol=1e-4)
    assert captured["loss.n_updates"] == single["loss.n_updates"]


@every_loss
@pytest.mark.parametrize(
    "options",
    [
        {"precision": "bf16-mixed"},
        {"precision": "bf16-true"},
        {"precision": "64-true"},
        {"activation_checkpointing": "full"},
    ],
    ids=str,
)
def test_weights_follow_the_training_in_every_precision(data, make_trainer, make_loss, options):
    keys = {"activation_checkpointing"} & options.keys()
    module_options = {key: options[key] for key in keys}
    trainer_options = {key: value for key, value in options.items() if key not in keys}
    module, _ = fit(make_trainer, data, make_loss(), module_options=module_options, **trainer_options)
    expected, _ = fit(make_trainer, data, make_loss())
    torch.testing.assert_close(module.loss.weights, expected.loss.weights, rtol=0.1, atol=0.05)
    assert module.loss.weights.dtype == torch.float64


@pytest.mark.usefixtures("compiler")
def test_gradients_of_a_compiled_network_are_compared(data, make_trainer, monkeypatch):
    compile_network = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **_: compile_network(self, backend="aot_eager"))
    options = {"max_epochs": 1, "limit_train_batches": 3, "num_sanity_val_steps": 1, "limit_val_batches": 1}
    compiled, _ = fit(make_trainer, data, LOSSES["gradients"](), module_options={"compile": True}, **options)
    expected, _ = fit(make_trainer, data, LOSSES["gradients"](), **options)
    torch.testing.assert_close(compiled.loss.weights, expected.loss.weights, rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("precision", "strategy", "message"),
    [
        ("16-mixed", SingleDeviceStrategy, r"without the loss scale of precision=16-mixed, .* use bf16-mixed"),
        ("32-true", FSDPStrategy, r"whole weights on each device, which FSDPStrategy divides: use ddp"),
    ],
)
def test_trainings_whose_gradients_are_not_to_be_had_are_refused(precision, strategy, message):
    trainer = SimpleNamespace(precision=precision, strategy=strategy.__new__(strategy))
    training = BalancedTraining()
    training.start(SoftAdapt([MSE()]), torch.nn.Linear(1, 1), trainer)
    with pytest.raises(ValueError, match=message):
        training.start(InverseGradientNorm([MSE()]), torch.nn.Linear(1, 1), trainer)


@pytest.mark.filterwarnings(
    "ignore:You're using the WeightAveraging callback with a model that overrides",
    "ignore:Be aware that when using `ckpt_path`, callbacks used to create the checkpoint",
)
@every_loss
def test_averages_of_the_network_leave_the_weights_of_the_losses_alone(data, make_trainer, make_loss, tmp_path):
    def train(*callbacks, **options):
        record = Weights()
        fit(make_trainer, data, make_loss(), callbacks=[*callbacks, record], max_epochs=2, **options)
        return record.seen

    expected = train()
    checkpoint = ModelCheckpoint(tmp_path / "saved", "{epoch}", save_top_k=-1)
    options = {"enable_checkpointing": True}
    assert_equal(train(EMAWeightAveraging(decay=0.5), checkpoint, **options), expected)
    resumed = train(EMAWeightAveraging(decay=0.5), ckpt_path=tmp_path / "saved" / "epoch=0.ckpt")
    assert_equal(resumed, expected[len(expected) // 2 :])


def test_a_search_for_a_rate_leaves_the_weights_alone(data, make_trainer):
    module = make_module(data, LOSSES["relobralo"]())
    before = {name: value.clone() for name, value in module.loss.state_dict().items()}
    Tuner(make_trainer(limit_val_batches=0)).lr_find(module, data, num_training=5, update_attr=False)
    assert_equal(dict(module.loss.state_dict()), before)


def test_terms_and_weights_are_logged(data, make_trainer, tmp_path):
    logger = CSVLogger(tmp_path, name="balanced")
    module, trainer = fit(make_trainer, data, LOSSES["relobralo"](), logger=logger)
    logged = trainer.logged_metrics
    terms = ["fields/height", "fields/flux", "spectrum"]
    assert {name for name in logged if name.startswith("train/loss_")} == {
        f"train/loss_{kind}/{term}" for kind in ("term", "weight") for term in terms
    }
    weights = torch.stack([logged[f"train/loss_weight/{term}"] for term in terms])
    torch.testing.assert_close(weights, (module.loss.weights * torch.tensor([0.5, 0.5, 1.0])).float())
    values = torch.stack([logged[f"train/loss_term/{term}"] for term in terms])
    torch.testing.assert_close((weights * values).sum(), logged["train/loss"])


def train_on(rank, port, folder, name):
    from lightning.pytorch import Trainer

    from fno_lightning.data import GeneratedDataModule
    from tests.travelling_wave import TravellingWave

    join(rank, port)
    data = GeneratedDataModule(TravellingWave(grid=(16,)), n_steps_input=2, batch_size=4, n_train=1, base_path=folder)
    data.train_dataloader = lambda: data._loader(Whole(data.dataset("train"), rank), batch_size=4)
    module = make_module(data, LOSSES[name]())
    trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", use_distributed_sampler=False, **DISTRIBUTED)
    trainer.fit(module, data)
    return {key: value.numpy() for key, value in module.state_dict().items()}


DISTRIBUTED = {
    "max_epochs": 1,
    "max_steps": 3,
    "limit_val_batches": 0,
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
}


class Whole(torch.utils.data.Dataset):
    """The part of each batch of 8 that a process takes; both: all of it."""

    def __init__(self, dataset, rank=None):
        numbers = torch.arange(8).repeat(3).view(3, 2, 4)
        self.dataset = dataset
        self.numbers = (numbers if rank is None else numbers[:, rank]).flatten().tolist()

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, index):
        return self.dataset[self.numbers[index]]


@pytest.mark.long
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.filterwarnings("ignore:Using `DistributedSampler` with the dataloaders")
def test_processes_have_the_weights_of_one_with_all_samples(name, data, make_trainer, tmp_path):
    data.prepare_data()
    first, second = results_of(train_on, str(tmp_path / "datasets"), name)
    for key, value in first.items():
        assert (second[key] == value).all(), key
    data.train_dataloader = lambda: data._loader(Whole(data.dataset("train")), batch_size=8)
    alone, _ = fit(make_trainer, data, LOSSES[name](), max_steps=3)
    for key, value in alone.loss.state_dict().items():
        torch.testing.assert_close(torch.tensor(first[f"loss.{key}"]), value, rtol=1e-4, atol=1e-6)
    assert alone.loss.n_updates == 3


def test_a_balance_is_made_from_yaml(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pde = {"class_path": "tests.travelling_wave.TravellingWave"}
    losses = {
        "fields": {
            "class_path": "fno_lightning.losses.ByField",
            "init_args": {
                "losses": {"height": {"class_path": "fno_lightning.losses.VRMSE"}},
                "default": "fno_lightning.losses.RMSE",
            },
        },
        "spectrum": {"class_path": "fno_lightning.losses.Spectrum"},
    }
    loss = {
        "class_path": "fno_lightning.losses.ReLoBRaLo",
        "init_args": {"losses": losses, "factors": {"spectrum": 0.1}},
    }
    config = {
        "trainer": {"max_steps": 2, "accelerator": "cpu", "logger": False, "enable_checkpointing": False},
        "model": {"class_path": "FNOModule", "init_args": {"n_modes": [4], "loss": loss}},
        "data": {"class_path": "fno_lightning.data.GeneratedDataModule", "init_args": {"pde": pde, "n_steps_input": 2}},
    }
    Path("balanced.yaml").write_text(yaml.safe_dump(config))
    module = main(["fit", "--config", "balanced.yaml"]).model
    assert module.loss.term_names == ("fields/height", "fields/flux", "spectrum")
    assert [type(loss) for loss in module.loss.losses[0].losses] == [VRMSE, RMSE]
    assert module.loss.factors == [1.0, 0.1]
    assert module.loss.n_updates == 2
