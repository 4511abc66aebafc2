import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import nn

from fno_lightning.data import Batch, GeneratedDataModule
from fno_lightning.losses import VRMSE, RelativeL2
from fno_lightning.modules import FNOModule, ForecastModule
from fno_lightning.multistep import MultiStepStrategy
from fno_lightning.unrolling import Pushforward, Unrolled
from tests.travelling_wave import TravellingWave
from tests.two_processes import join, results_of

BUNDLES = [1, 2, 3]


class Pointwise(ForecastModule):
    """A linear network on each point, in float64, whose forecasts a plain loop can repeat."""

    def build_network(self):
        torch.manual_seed(3)
        return nn.Conv1d(self.in_channels, self.out_channels, 1, dtype=torch.float64)


def fitted(data, **options):
    data.prepare_data()
    data.setup("fit")
    module = Pointwise(spec=data.spec, n_steps_input=data.n_steps_input, **options)
    module.fit_normalization(data.statistics)
    module.configure_model()
    return module


def by_hand(module, batch, n_steps):
    """Normalised forecasts by a plain loop over frames, with matrices and lists."""
    statistics = module.normalizer
    n_fields = len(module.spec.fields)
    mean, std = (getattr(statistics.fields, name).view(-1, 1) for name in ("mean", "std"))
    drift, scale = (getattr(statistics.increments, name).view(-1, 1) for name in ("mean", "std"))
    frames = [(frame - mean) / std for frame in batch.history.double().unbind(1)]
    scalars = (batch.scalars.double() - statistics.scalars.mean) / statistics.scalars.std
    planes = scalars[:, :, None].expand(-1, -1, frames[0].shape[-1])
    weight, bias = module.network.weight[:, :, 0], module.network.bias[:, None]
    predicted = []
    while len(predicted) < n_steps:
        history = frames[-module.n_steps_input :]
        centre, unit, own = 0.0, 1.0, []
        if module.reversible_norm:
            last = history[-1]
            centre = last.mean(dim=2, keepdim=True)
            unit = ((last - centre).square().mean(dim=2, keepdim=True) + 0.02**2).sqrt()
            own = [centre.expand_as(last), unit.log().expand_as(last)]
        inputs = torch.cat([*((frame - centre) / unit for frame in history), *own, planes], dim=1)
        output = weight @ inputs + bias
        for i in range(module.bundle):
            part = output[:, i * n_fields : (i + 1) * n_fields]
            change = unit * part if module.reversible_norm else (part * scale + drift) / std
            frame = frames[-1] + change if module.residual else centre + unit * part
            frames.append(frame)
            predicted.append(frame)
    return torch.stack(predicted[:n_steps], dim=1)


@pytest.mark.parametrize("n_steps", [1, 3, 8])
@pytest.mark.parametrize("reversible_norm", [False, True])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("bundle", BUNDLES)
@pytest.mark.parametrize("n_steps_input", [1, 2, 4])
def test_forecasts_with_any_history_and_bundle_are_those_of_a_plain_loop(
    n_steps_input, bundle, residual, reversible_norm, n_steps, make_data
):
    data = make_data(n_steps_input=n_steps_input, n_steps_output=3)
    module = fitted(data, bundle=bundle, residual=residual, reversible_norm=reversible_norm)
    batch = next(iter(data.val_dataloader()))
    found = module.forecast(batch, n_steps=n_steps).double()
    expected = by_hand(module, batch, n_steps) * module.normalizer.fields.std.view(-1, 1)
    torch.testing.assert_close(found, expected + module.normalizer.fields.mean.view(-1, 1), rtol=1e-5, atol=1e-5)


class Gradients(Callback):
    """Keep the loss and the gradient of every step, and those of the module's forecast by hand."""

    def __init__(self, horizon):
        self.horizon = horizon
        self.pairs = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.batch = batch

    def on_after_backward(self, trainer, module):
        found = [weight.grad.clone() for weight in module.network.parameters()]
        n, n_free = self.horizon(trainer.global_step)
        first, last = n_free * module.bundle, n * module.bundle
        batch = self.batch
        start = batch
        if n_free:
            with torch.no_grad():
                pushed = by_hand(module, batch, first)
            unit, zero = module.normalizer.fields.std.view(-1, 1), module.normalizer.fields.mean.view(-1, 1)
            history = torch.cat((batch.history.double(), pushed * unit + zero), dim=1)
            start = batch._replace(history=history[:, -module.n_steps_input :])
        target = module.normalizer.encode(batch.target.double()[:, first:last])
        with torch.enable_grad():
            loss = (by_hand(module, start, last - first) - target).square().mean()
            expected = torch.autograd.grad(loss, list(module.network.parameters()))
        self.pairs.append((found, expected))


SCHEDULES = {
    "unrolled": (Unrolled(end=0.0), lambda step: (3, 0)),
    "curriculum": (Unrolled(begin=0.0, end=1.0), lambda step: (1 + step * 3 // 4, 0)),
    "last step only": (Unrolled(end=0.0, gradient_steps=1), lambda step: (3, 2)),
    "pushforward": (Pushforward([0, 1, 0], begin=0.0, end=0.0), lambda step: (2, 1)),
    "pushforward of two": (Pushforward([0, 1], begin=0.0, end=0.0, gradient_steps=2), lambda step: (3, 1)),
    "none": (None, lambda step: (3, 0)),
}


@pytest.mark.parametrize("bundle", [1, 2])
@pytest.mark.parametrize("name", SCHEDULES)
def test_gradients_are_those_of_a_plain_loop(name, bundle, make_data, make_trainer):
    data = make_data(n_steps_output=3 * bundle)
    unrolling, horizon = SCHEDULES[name]
    module = fitted(data, bundle=bundle, unrolling=unrolling, residual=True)
    gradients = Gradients(horizon)
    make_trainer(gradients, max_steps=4, max_epochs=-1, limit_val_batches=0).fit(module, data)
    assert len(gradients.pairs) == 4
    for found, expected in gradients.pairs:
        torch.testing.assert_close(found, list(expected), rtol=1e-5, atol=1e-7)  # float32 data


def test_noise_is_added_to_the_histories_of_the_training_alone(make_data):
    data = make_data()
    module = fitted(data, input_noise=0.5)
    batch = next(iter(data.val_dataloader()))
    seen = []
    module.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    module.train()
    many = Batch(*(part[:1].expand(2000, *part.shape[1:]) for part in batch))
    module.step(many)
    module.eval()
    module.step(many)
    noise = seen[0] - seen[1]
    n_history = module.n_steps_input * len(module.spec.fields)
    assert noise[:, :n_history].std().item() == pytest.approx(0.5, rel=0.02)
    assert noise[:, n_history:].abs().max() == 0


def weights_after(make_trainer, data, strategy="auto", **options):
    torch.manual_seed(0)
    module = FNOModule(spec=data.spec, n_steps_input=2, n_modes=(4,), hidden_channels=4, n_layers=2, **options)
    module.fit_normalization(data.statistics)
    make_trainer(max_epochs=2, limit_val_batches=0, strategy=strategy).fit(module, data)
    return [weight.detach().clone() for weight in module.network.parameters()]


COMBINED = {"bundle": 2, "residual": True, "reversible_norm": True, "unrolling": Pushforward([1, 1, 1], begin=0.0)}


def test_several_steps_at_once_push_forward_alike(make_data, make_trainer, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "5")
    data = make_data(n_steps_output=6)
    data.prepare_data()
    data.setup("fit")
    weights = []
    for strategy in ("auto", MultiStepStrategy(steps_per_execution=3)):
        torch.manual_seed(1)
        weights.append(weights_after(make_trainer, data, strategy, **COMBINED))
    torch.testing.assert_close(*weights, rtol=1e-5, atol=1e-6)


def train_on_whole_batches(folder, n_processes, strategy="auto"):
    """Train with all samples of all processes in each step, so that their order does not matter."""
    wave = TravellingWave(grid=(16,))
    options = {"n_train": 4, "n_steps_input": 2, "n_steps_output": 6, "base_path": folder}
    data = GeneratedDataModule(wave, **options)
    data.prepare_data()
    data.setup("fit")
    data = GeneratedDataModule(wave, batch_size=len(data.dataset("train")) // n_processes, **options)
    torch.manual_seed(0)
    module = FNOModule(data.spec, n_steps_input=2, n_modes=(4,), hidden_channels=4, n_layers=2, **COMBINED)
    trainer = Trainer(
        accelerator="cpu",
        devices=n_processes,
        strategy=strategy,
        max_steps=6,
        max_epochs=-1,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, data)
    return trainer.global_step, [weight.detach() for weight in module.network.parameters()]


def work(rank, port, folder):
    join(rank, port)
    return train_on_whole_batches(folder, 2, "ddp")


@pytest.mark.filterwarnings("ignore:Using `DistributedSampler` with the dataloaders")
def test_two_processes_push_forward_as_one(tmp_path):
    expected = train_on_whole_batches(str(tmp_path), 1)
    for found in results_of(work, str(tmp_path)):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_parts_combine_in_any_precision(precision, make_data, make_trainer):
    data = make_data(n_steps_output=6)
    module = FNOModule(data.spec, n_steps_input=2, n_modes=(4,), hidden_channels=4, input_noise=0.1, **COMBINED)
    trainer = make_trainer(max_epochs=1, precision=precision)
    trainer.fit(module, data)
    assert torch.isfinite(trainer.callback_metrics["val/loss"])


def test_a_bundle_rebuilds_from_a_checkpoint_and_the_schedule_is_not_stored(make_data, make_trainer, tmp_path):
    data = make_data(n_steps_output=6)
    module = FNOModule(data.spec, n_steps_input=2, n_modes=(4,), hidden_channels=4, **COMBINED)
    trainer = make_trainer()
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "bundle.ckpt")
    loaded = ForecastModule.load_from_checkpoint(tmp_path / "bundle.ckpt")
    assert loaded.bundle == 2
    assert loaded.unrolling is None
    batch = next(iter(data.val_dataloader()))
    torch.testing.assert_close(loaded.forecast(batch, n_steps=5), module.forecast(batch, n_steps=5))


def test_a_loss_in_physical_units_compares_decoded_fields(make_data):
    data = make_data()
    module = fitted(data, loss=RelativeL2(units="physical"))
    module.eval()
    batch = next(iter(data.val_dataloader()))
    loss, _ = module.step(batch)
    error, size = (part.flatten(3).norm(dim=3) for part in (module.forecast(batch) - batch.target, batch.target))
    torch.testing.assert_close(loss, (error / size).mean(), rtol=1e-5, atol=0)


def test_weights_name_fields_of_the_data(make_data):
    spec = make_data().spec
    module = Pointwise(spec=spec, loss=VRMSE(weights={spec.fields[1]: 3.0}))
    assert module.loss.weight.tolist() == [0.5, 1.5]
    with pytest.raises(ValueError, match=r"weights of the loss name the fields \['temperature'\], but the data have"):
        Pointwise(spec=spec, loss=VRMSE(weights={"temperature": 3.0}))


MISTAKES = {
    "bundle of no frame": ({"bundle": 0}, "at least 1"),
    "negative noise": ({"input_noise": -0.1}, "input_noise is a standard deviation, at least 0, got -0.1"),
    "bundle longer than the target": (
        {"bundle": 4},
        "bundle=4 frames, but a target has 3: set .*n_steps_output to 4 or more",
    ),
    "pushforward longer than the target": (
        {"unrolling": Pushforward([1, 1, 1, 1])},
        "bundle=1 frames times the 4 steps of Pushforward, but a target has 3: set .*n_steps_output to 4 or more",
    ),
    "curriculum longer than the target": ({"unrolling": Unrolled(max_steps=4)}, "the 4 steps of Unrolled"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told_before_the_training(name, make_data, make_trainer):
    options, message = MISTAKES[name]
    data = make_data(n_steps_output=3)
    with pytest.raises(ValueError, match=message):
        make_trainer().fit(Pointwise(spec=data.spec, n_steps_input=2, **options), data)


@pytest.mark.parametrize(
    "options", [{"bundle": 2}, {"input_noise": 0.1}, {"unrolling": Unrolled()}, {"reversible_norm": True}]
)
def test_a_steady_problem_has_nothing_to_unroll(options, make_data):
    spec = make_data().spec
    with pytest.raises(ValueError, match="n_steps_input"):
        Pointwise(spec=spec, n_steps_input=0, **options)


def test_a_training_without_an_end_cannot_follow_a_curriculum(make_data, make_trainer):
    data = make_data(n_steps_output=3)
    module = Pointwise(spec=data.spec, n_steps_input=2, unrolling=Unrolled())
    with pytest.raises(ValueError, match=r"nothing says when it ends: set trainer.max_epochs or trainer.max_steps"):
        make_trainer(max_epochs=-1, max_time="00:00:01:00").fit(module, data)
