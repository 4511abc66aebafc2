"""What Lightning's Trainer offers works with these modules; finders, averages and schedules have files of their own."""

from datetime import timedelta

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, StochasticWeightAveraging, timer
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.tuner import Tuner
from lightning.pytorch.utilities import grad_norm

from fno_lightning.callbacks import GradientNorm
from fno_lightning.modules import FNOModule, WarmupCosine
from fno_lightning.multistep import MultiStepStrategy


@pytest.fixture
def data(make_data):
    return make_data(n_train=1)


def in_order(data, batch_size):
    """The training batches in the order of the samples, of another size."""
    data.batch_size = batch_size
    data.train_dataloader = lambda: data._loader(
        data.dataset("train"), batch_size=batch_size * (data._batches_at_once or 1)
    )
    return data


def fit(make_trainer, data, *callbacks, module_class=FNOModule, optimizer=None, lr_scheduler=None, **options):
    torch.manual_seed(0)
    module = module_class(
        data.spec, (4,), 4, n_layers=1, n_steps_input=2, optimizer=optimizer, lr_scheduler=lr_scheduler
    )
    module.configure_model()
    trainer = make_trainer(*callbacks, **options)
    trainer.fit(module, data)
    return module, trainer


def weights(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def fast_adam(parameters):
    return torch.optim.Adam(parameters, lr=0.02)


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def test_accumulated_gradients_are_those_of_a_large_batch(make_trainer, data):
    options = {"limit_val_batches": 0, "max_epochs": 3, "precision": "64-true", "optimizer": sgd}
    large, one = fit(make_trainer, in_order(data, 8), **options)
    small, other = fit(make_trainer, in_order(data, 2), accumulate_grad_batches=4, **options)
    assert one.global_step == other.global_step == 6
    torch.testing.assert_close(weights(small), weights(large), rtol=1e-10, atol=1e-12)
    unlike, _ = fit(make_trainer, in_order(data, 2), **options)
    assert (weights(unlike) - weights(large)).abs().max() > 1e-3


class Targets(Callback):
    def __init__(self):
        self.seen, self.losses = [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(batch.target)
        self.losses.append(outputs["loss"].item())


@pytest.mark.filterwarnings("ignore:You requested to overfit but enabled train dataloader shuffling")
def test_overfitting_repeats_one_batch_and_validates_on_it(make_trainer, data):
    targets = Targets()
    _, trainer = fit(make_trainer, data, targets, overfit_batches=1, max_epochs=30, optimizer=fast_adam)
    assert len(targets.seen) == 30
    assert all(torch.equal(target, targets.seen[0]) for target in targets.seen)
    assert targets.losses[-1] < 0.9 * targets.losses[0]
    assert trainer.num_val_batches == [1]


class LightningsNorm(FNOModule):
    """Logs the norm as Lightning's documentation has it."""

    def on_before_optimizer_step(self, optimizer):
        self.log_dict(grad_norm(self, norm_type=2))


def by_hand(norm_type, module, part=""):
    gradients = [p.grad.flatten() for name, p in module.network.named_parameters() if name.startswith(part)]
    return torch.cat(gradients).norm(norm_type)


class KeptNorms(Callback):
    """Computes norms by hand, before the gradients are clipped and after the step."""

    def __init__(self):
        self.before, self.after = [], []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.before.append({part: by_hand(2.0, pl_module, part) for part in ("", "lifting")})

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.after.append(by_hand(2.0, pl_module))


def logged_norms(folder, name="train/gradient_norm"):
    head, *rows = (folder / "metrics.csv").read_text().splitlines()
    column = head.split(",").index(name)
    return [float(row.split(",")[column]) for row in rows if row.split(",")[column]]


@pytest.mark.parametrize("strategy", ["auto", 3])
def test_gradient_norms_are_logged_before_clipping(make_trainer, data, tmp_path, strategy):
    kept, logger = KeptNorms(), CSVLogger(tmp_path, name="norms", version=0)
    strategy = MultiStepStrategy(strategy) if strategy == 3 else strategy
    options = {"limit_val_batches": 0, "gradient_clip_val": 1e-2, "logger": logger, "strategy": strategy}
    fit(make_trainer, in_order(data, 4), GradientNorm(by_part=True), kept, **options)
    found = logged_norms(tmp_path / "norms" / "version_0")
    last_of_executions = [2, 3] if isinstance(strategy, MultiStepStrategy) else range(4)
    assert found == pytest.approx([kept.before[step][""].item() for step in last_of_executions], rel=1e-5)
    of_part = logged_norms(tmp_path / "norms" / "version_0", "train/gradient_norm/lifting")
    assert of_part == pytest.approx([kept.before[step]["lifting"].item() for step in last_of_executions], rel=1e-5)
    assert min(found) > 2e-2
    assert [norm.item() for norm in kept.after] == pytest.approx([1e-2] * len(kept.after), rel=1e-3)


def test_lightnings_own_norms_can_be_logged(make_trainer, data):
    _, trainer = fit(make_trainer, data, GradientNorm(), module_class=LightningsNorm, limit_val_batches=0)
    logged = trainer.logged_metrics if trainer.loggers else trainer.callback_metrics
    assert logged["grad_2.0_norm_total"] == logged["train/gradient_norm"] > 0


def test_a_norm_has_a_positive_power():
    with pytest.raises(ValueError, match=r"norm_type of gradients must be positive, got -1\.0"):
        GradientNorm(-1.0)


@pytest.mark.parametrize("strategy", ["auto", 3])
def test_early_stopping_ends_a_training(make_trainer, data, strategy):
    strategy = MultiStepStrategy(strategy) if strategy == 3 else strategy
    stopping = EarlyStopping("val/vrmse", patience=2, min_delta=1e9)
    _, trainer = fit(make_trainer, data, stopping, max_epochs=9, strategy=strategy)
    assert (stopping.stopped_epoch, trainer.global_step) == (2, 3 * 4)


@pytest.mark.parametrize("strategy", ["auto", 3])
@pytest.mark.parametrize(
    ("options", "n_steps"),
    [
        ({"fast_dev_run": True}, 1),
        ({"fast_dev_run": 2}, 2),
        ({"limit_train_batches": 2, "limit_val_batches": 1, "max_epochs": 2}, 4),
        ({"limit_train_batches": 2, "limit_val_batches": 0, "max_steps": 3, "max_epochs": -1}, 3),
    ],
    ids=str,
)
def test_trainings_can_be_made_short(make_trainer, data, options, n_steps, strategy):
    strategy = MultiStepStrategy(strategy) if strategy == 3 else strategy
    _, trainer = fit(make_trainer, data, strategy=strategy, **options)
    assert trainer.global_step == n_steps
    assert ("val/vrmse" in trainer.callback_metrics) is (options.get("limit_val_batches", 1) != 0)


class Clock(Callback):
    """Time that passes a second with each batch of the train loader."""

    now = 0.0

    def on_train_batch_start(self, *_):
        self.now += 1.0


@pytest.mark.parametrize(("strategy", "n_steps"), [("auto", 3), (2, 6)])
def test_a_training_lasts_no_longer_than_it_may(make_trainer, data, monkeypatch, strategy, n_steps):
    clock = Clock()
    monkeypatch.setattr(timer.time, "monotonic", lambda: clock.now)
    strategy = MultiStepStrategy(strategy) if strategy == 2 else strategy
    options = {"max_time": timedelta(seconds=2.5), "max_epochs": -1, "limit_val_batches": 0, "strategy": strategy}
    _, trainer = fit(make_trainer, in_order(data, 1), clock, **options)
    assert trainer.global_step == n_steps


@pytest.mark.parametrize("lr_scheduler", [None, WarmupCosine])
@pytest.mark.filterwarnings("ignore:SWA is currently only supported every epoch")
def test_executions_have_the_stochastic_averages_of_single_steps(make_trainer, data, lr_scheduler):
    def train(strategy):
        averaging = StochasticWeightAveraging(swa_lrs=0.05, swa_epoch_start=1, annealing_epochs=2)
        options = {"max_epochs": 4, "limit_val_batches": 0, "lr_scheduler": lr_scheduler, "strategy": strategy}
        module, trainer = fit(make_trainer, in_order(data, 4), averaging, **options)
        return weights(module), trainer.optimizers[0].param_groups[0]["lr"]

    (expected, rate), (found, rate_of_executions) = train("auto"), train(MultiStepStrategy(3))
    assert rate_of_executions == rate
    assert torch.equal(found, expected)


def test_a_tuner_with_executions_is_refused_with_what_to_do(make_trainer, data):
    module = FNOModule(data.spec, (4,), 4, n_layers=1, n_steps_input=2)
    for search in (lambda tuner: tuner.lr_find(module, data), lambda tuner: tuner.scale_batch_size(module, data)):
        with pytest.raises(ValueError, match=r"has to see every step, .* use the finder with another strategy first"):
            search(Tuner(make_trainer(strategy=MultiStepStrategy(3))))


@pytest.mark.long
def test_the_batch_size_of_files_is_scaled(make_trainer, data):
    module = FNOModule(data.spec, (4,), 4, n_layers=1, n_steps_input=2)
    found = Tuner(make_trainer()).scale_batch_size(module, data, init_val=2, max_trials=3, steps_per_trial=1)
    assert found == data.batch_size == 8
