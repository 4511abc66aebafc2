"""Training, validation, test and rollouts on split fields are those of whole fields in one process."""

import pytest
import torch
from lightning.pytorch import Trainer, seed_everything

from fno_lightning.callbacks import RolloutEvaluation
from fno_lightning.data import GeneratedDataModule
from fno_lightning.losses import H1, VRMSE
from fno_lightning.metrics import NRMSE, SpectralError
from fno_lightning.modules import FNOModule, MultigridPatching, TFNOModule
from fno_lightning.slab_strategy import SlabStrategy, obstacles
from tests.travelling_wave import TravellingWave
from tests.two_processes import join, results_of

GRID = (10, 12)


def data_of(folder, batch_size, **options):
    return GeneratedDataModule(
        TravellingWave(grid=GRID), n_steps_input=2, n_steps_output=2, batch_size=batch_size, n_train=2,
        base_path=folder, **options,
    )  # fmt: skip


def trainer_of(folder, strategy, **options):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(accelerator="cpu", strategy=strategy, default_root_dir=folder, **quiet, **options)


def train(folder, strategy="auto", n_devices=1, batch_size=4, cache="none"):
    seed_everything(0, verbose=False)  # the order of the samples follows it, whatever ran in this process before
    data = data_of(folder, batch_size, cache=cache)
    options = {"hidden_channels": 4, "n_layers": 2, "n_steps_input": 2, "reversible_norm": True, "loss": VRMSE()}
    module = TFNOModule(
        data.spec, n_modes=(6, 6), rank=0.5, norm="instance_norm", domain_padding=0.2, bundle=2,
        optimizer=lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9), **options,
    ).double()  # fmt: skip
    rollouts = RolloutEvaluation(windows=[(0, 2)], n_pictures=1, animation=False)
    trainer = trainer_of(
        folder, strategy, devices=n_devices, max_epochs=2, callbacks=[rollouts], gradient_clip_val=0.5,
        precision="64-true", num_sanity_val_steps=0, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(module, data)
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    tested = trainer.test(module, data, verbose=False)[0]
    weights = [weight.detach().clone() for weight in module.parameters()]
    return trainer.global_step, logged | tested, [weight.numpy() for weight in weights]


def train_briefly(folder, strategy="auto", n_devices=1):
    """Take one epoch of a network with a local branch, with metrics of rollouts."""
    seed_everything(0, verbose=False)
    data = data_of(folder, 4, cache="none")
    module = FNOModule(
        data.spec, n_modes=(4, 4), hidden_channels=4, n_layers=1, n_steps_input=2, local="convolution",
        optimizer=lambda weights: torch.optim.SGD(weights, lr=0.1),
    ).double()  # fmt: skip
    rollouts = RolloutEvaluation(windows=[(0, 2)], n_pictures=0, metrics={"nrmse": NRMSE, "low": SpectralError})
    trainer = trainer_of(
        folder, strategy, devices=n_devices, max_epochs=1, callbacks=[rollouts], precision="64-true",
        num_sanity_val_steps=0, enable_checkpointing=False, accumulate_grad_batches=2,
    )  # fmt: skip
    trainer.fit(module, data)
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return trainer.global_step, logged, [weight.detach().numpy() for weight in module.parameters()]


def work_briefly(rank, port, folder):
    join(rank, port)
    return train_briefly(folder, SlabStrategy(2, "y"), 2)


@pytest.mark.filterwarnings("ignore")
def test_an_epoch(tmp_path):
    expected = train_briefly(str(tmp_path))
    for found in results_of(work_briefly, str(tmp_path)):
        compare(expected, found)


def work(rank, port, folder, n_processes, cases):
    join(rank, port, n_processes)
    return [
        train(folder, SlabStrategy(**options), n_processes, batch_size, cache) for options, batch_size, cache in cases
    ]


def compare(expected, found):
    n_steps, logged, weights = expected
    assert found[0] == n_steps
    assert found[1].keys() == logged.keys()
    for name, value in logged.items():
        assert found[1][name] == pytest.approx(value, rel=5e-6, abs=1e-9), name  # errors are in single precision
    for weight, expected_weight in zip(found[2], weights, strict=True):
        torch.testing.assert_close(torch.tensor(weight), torch.tensor(expected_weight), rtol=1e-9, atol=1e-11)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("alone"))
    return folder, train(folder)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_two_slabs(alone):
    folder, expected = alone
    cases = [({"n_slabs": 2}, 4, "ram"), ({"n_slabs": 2, "axis": "y", "points": [5, 7]}, 4, "none")]
    for results in results_of(work, folder, 2, cases):
        for found in results:
            compare(expected, found)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_slabs_and_samples_shared_out(alone):
    folder, expected = alone
    results = [
        found for (found,) in results_of(work, folder, 4, [({"n_slabs": 2, "axis": 1}, 2, "none")], n_processes=4)
    ]
    of_groups = [found[1].pop("train/loss") for found in results]  # each group logs the loss of its own samples
    assert of_groups[::2] == of_groups[1::2]
    logged = dict(expected[1])
    assert sum(of_groups) / 4 == pytest.approx(logged.pop("train/loss"), rel=1e-9)
    for found in results:
        compare((expected[0], logged, expected[2]), found)


REFUSED = {
    "the loss H1 needs whole": {"loss": H1()},
    "the network EnsembleNetwork takes whole": {"ensemble_size": 2},
    "patching cuts them already": {"patching": MultigridPatching([2, 2])},
    "a compiled network": {"compile": True},
    "input_noise and mc_dropout": {"input_noise": 0.1},
    "dropout draws the same": {"channel_mlp_dropout": 0.1},
    "by_axis keeps modes of every line": {"by_axis": True},
    "leave one of them out": {"activation_checkpointing": "full", "domain_padding": 0.2},
}


@pytest.mark.parametrize(("message", "options"), REFUSED.items(), ids=list(REFUSED))
def test_refuses_modules_that_need_whole_fields(message, options, make_data):
    data = make_data(grid=(8, 8))
    module = FNOModule(data.spec, n_modes=(4, 4), hidden_channels=4, n_layers=1, n_steps_input=2, **options)
    module.configure_model()
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    assert message in next(obstacles(trainer, module, data))


@pytest.mark.parametrize(
    ("message", "options"),
    {
        "augment=": {"augment": ["shift"]},
        "training on several grids": {"train_strides": [1, 2]},
    }.items(),
)
def test_refuses_data_that_move_points(message, options, make_data):
    data = make_data(grid=(8, 8), **options)
    module = FNOModule(data.spec, n_modes=(4, 4), hidden_channels=4, n_layers=1, n_steps_input=2)
    module.configure_model()
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    assert message in next(obstacles(trainer, module, data))


def test_plain_options_have_no_obstacle(make_data):
    data = make_data(grid=(8, 8))
    module = FNOModule(data.spec, n_modes=(4, 4), hidden_channels=4, n_layers=1, n_steps_input=2, local="convolution")
    module.configure_model()
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    assert next(obstacles(trainer, module, data), None) is None
