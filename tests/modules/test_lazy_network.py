"""Whatever asks a module for parameters, submodules or state finds its network built."""

import copy
import pickle

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    Callback,
    EMAWeightAveraging,
    ModelPruning,
    StochasticWeightAveraging,
    WeightAveraging,
)
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from fno_lightning.data import FieldSpec, GeneratedDataModule
from fno_lightning.modules import FNOModule, ForecastModule
from tests.modules.test_forecast import ConvolutionModule
from tests.travelling_wave import TravellingWave
from tests.two_processes import join, results_of

SPEC = FieldSpec("wave", ("u",), (16,), boundaries=(("periodic", "periodic"),))
OPTIONS = {"spec": SPEC, "n_steps_input": 1}


def new_module(seed=0, **options):
    torch.manual_seed(seed)
    return FNOModule(**OPTIONS, n_modes=[4], hidden_channels=4, n_layers=1, **options)


def new_module_of(data, seed=0, **options):
    torch.manual_seed(seed)
    return FNOModule(data.spec, [4], 4, 1, n_steps_input=data.n_steps_input, **options)


@pytest.fixture
def data(make_data):
    data = make_data()
    data.prepare_data()
    return data


def weights(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


ASKED = {
    "parameters": lambda module: list(module.parameters()),
    "named_parameters": lambda module: [p for name, p in module.named_parameters() if name.startswith("network.")],
    "children": lambda module: [child for name, child in module.named_children() if name == "network"],
    "modules": lambda module: [part for name, part in module.named_modules() if name.startswith("network.")],
    "state_dict": lambda module: [key for key in module.state_dict() if key.startswith("network.")],
    "network": lambda module: list(module.network.parameters()),
    "get_submodule": lambda module: list(module.get_submodule("network").parameters()),
    "repr": lambda module: ["(network)"] if "(network)" in repr(module) else [],
    "copy": lambda module: list(copy.deepcopy(module).parameters()),
    "pickle": lambda module: list(pickle.loads(pickle.dumps(module)).parameters()),
    "to": lambda module: [p for p in module.double().network.parameters() if p.dtype == torch.float64],
    "half": lambda module: [p for p in module.bfloat16().network.parameters() if p.dtype == torch.bfloat16],
    "train": lambda module: [part for part in module.eval().network.modules() if not part.training],
    "requires_grad": lambda module: [
        p for p in module.requires_grad_(False).network.parameters() if not p.requires_grad
    ],
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("new", [new_module, lambda: ConvolutionModule(**OPTIONS)], ids=["fno", "user"])
def test_who_asks_finds_the_network(asked, new):
    assert ASKED[asked](new())


def test_copies_of_a_module_have_its_weights():
    module = new_module()
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(weights(other), weights(module))


@pytest.mark.parametrize("mode", ["none", "auto", "full", "offload"])
def test_a_copy_computes_the_same_and_is_independent(mode):
    module = new_module(activation_checkpointing=mode)
    history = torch.randn(2, 1, 1, 16)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        expected = module.forecast(history)
        assert torch.equal(other.forecast(history), expected)
        with torch.no_grad():
            for parameter in other.network.parameters():
                parameter.zero_()
        assert torch.equal(module.forecast(history), expected)
        assert not torch.equal(other.forecast(history), expected)


def test_a_copy_of_a_module_in_another_one_loads_and_saves_its_weights():
    class Pair(nn.Module):
        def __init__(self, seed):
            super().__init__()
            self.inner = new_module(seed)

    first, second = Pair(0), Pair(1)
    state = first.state_dict()
    assert any(key.startswith("inner.network.") for key in state)
    second.load_state_dict(state, strict=False)
    assert torch.equal(weights(second.inner), weights(first.inner))


@pytest.mark.parametrize("strict", [True, False])
def test_a_state_dict_is_loaded_before_anything_else(strict):
    first, second = new_module(0), new_module(1)
    second.load_state_dict(first.state_dict(), strict=strict)
    assert torch.equal(weights(second), weights(first))


def test_loaded_weights_are_those_that_a_training_starts_from(data, make_trainer):
    module, start = new_module_of(data, 0), new_module_of(data, 1)
    module.load_state_dict(start.state_dict())
    make_trainer(limit_train_batches=0, limit_val_batches=0).fit(module, data)
    assert torch.equal(weights(module), weights(start))


def test_an_optimizer_made_by_hand_trains_the_network():
    module = new_module()
    before = weights(module).clone()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    module(torch.randn(2, 1, 1, 16)).square().mean().backward()
    optimizer.step()
    assert not torch.equal(weights(module), before)


def test_a_constructor_that_asks_too_early_is_told_so():
    class Early(ForecastModule):
        def __init__(self, width=8, **kwargs):
            super().__init__(**kwargs)
            list(self.parameters())
            self.width = width

        def build_network(self):
            return nn.Conv1d(self.in_channels, self.width, 3)

    with pytest.raises(RuntimeError, match=r"Early.build_network failed: .*width.*before it asks"):
        Early(**OPTIONS)


class Weights(Callback):
    """Record of the weights at the end of each epoch."""

    def __init__(self):
        self.seen = []

    def on_train_epoch_end(self, trainer, pl_module):
        self.seen.append(weights(pl_module).clone())


def test_stochastic_weight_averaging_averages_the_last_epochs(data, make_trainer):
    record, module = Weights(), new_module_of(data)
    averaging = StochasticWeightAveraging(swa_lrs=1e-2, swa_epoch_start=2, annealing_epochs=1)
    make_trainer(record, averaging, max_epochs=4, limit_train_batches=2).fit(module, data)
    # the average begins with the weights of the first epoch, and takes in those before each later one
    torch.testing.assert_close(weights(module), torch.stack(record.seen[:3]).mean(dim=0))


@pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback with a model that overrides")
@pytest.mark.parametrize("use_buffers", [True, False])
def test_weight_averaging_averages_every_step(data, make_trainer, use_buffers):
    record, module = Weights(), new_module_of(data)
    make_trainer(record, WeightAveraging(use_buffers=use_buffers), max_epochs=4, limit_train_batches=1).fit(
        module, data
    )
    torch.testing.assert_close(weights(module), torch.stack(record.seen).mean(dim=0))
    assert module.normalizer.is_fitted
    torch.testing.assert_close(module.normalizer.fields.mean, data.statistics.mean.double())


@pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback with a model that overrides")
@pytest.mark.parametrize("options", [{}, {"activation_checkpointing": "full"}], ids=str)
def test_exponential_averages_are_those_of_the_steps(data, make_trainer, options):
    record, module = Weights(), new_module_of(data, **options)
    make_trainer(record, EMAWeightAveraging(decay=0.5), max_epochs=3, limit_train_batches=1).fit(module, data)
    expected = record.seen[0]
    for later in record.seen[1:]:
        expected = 0.5 * expected + 0.5 * later
    torch.testing.assert_close(weights(module), expected)


@pytest.mark.usefixtures("compiler")
def test_a_copy_of_a_compiled_module_is_compiled_anew():
    module = new_module(compile=True)
    history = torch.randn(2, 1, 1, 16)
    expected = module.forecast(history)
    other = copy.deepcopy(module)
    torch.testing.assert_close(other.forecast(history), expected)
    assert other.network._compiled_call_impl is not None


def test_pruning_prunes(data, make_trainer):
    module = new_module_of(data)
    make_trainer(ModelPruning("l1_unstructured", amount=0.5), limit_train_batches=2).fit(module, data)
    assert (weights(module) == 0).float().mean() > 0.2


def test_parts_are_frozen_by_a_finetuning_callback(data, make_trainer):
    class Frozen(BackboneFinetuning):
        def on_fit_start(self, trainer, pl_module):
            pass

        def freeze_before_training(self, pl_module):
            self.freeze(pl_module.network.lifting)

        def finetune_function(self, pl_module, epoch, optimizer):
            pass

    module = new_module_of(data)
    before = copy.deepcopy(module.network.state_dict())
    make_trainer(Frozen(), limit_train_batches=2).fit(module, data)
    after = module.network.state_dict()
    unchanged = {name for name in after if torch.equal(after[name], before[name])}
    assert unchanged
    assert all(name.startswith("lifting.") == (name in unchanged) for name in after)


@pytest.mark.long
@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork", "ddp_notebook"])
def test_the_weights_come_back_from_the_processes_of_a_strategy(data, make_trainer, strategy):
    module = new_module_of(data)
    before = weights(new_module_of(data))
    trainer = make_trainer(strategy=strategy, devices=2, max_epochs=2)
    trainer.fit(module, data)
    assert not torch.equal(weights(module), before)
    assert module.normalizer.is_fitted
    error = make_trainer().validate(module, data, verbose=False)[0]["val/vrmse"]
    assert error == pytest.approx(float(trainer.callback_metrics["val/vrmse"]), rel=1e-4)


class Sharded(FNOModule):
    """Module that divides its weights among the processes, and notes whether they existed when it was asked to."""

    def configure_model(self):
        self.was_built = self.is_built
        super().configure_model()
        fully_shard(self.network, mesh=self.device_mesh["data_parallel"])

    def on_fit_start(self):
        super().on_fit_start()
        self.are_sharded = all(isinstance(weight, DTensor) for weight in self.network.parameters())


def _train_sharded(rank, port, folder):
    join(rank, port)
    torch.manual_seed(0)
    data = GeneratedDataModule(TravellingWave(grid=(16,)), n_steps_input=2, batch_size=3, n_train=4, base_path=folder)
    module = Sharded(data.spec, [8], 8, 1, n_steps_input=2)
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy=ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1),
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(module, data)
    return module.was_built, module.are_sharded, float(trainer.callback_metrics["val/vrmse"])


@pytest.mark.filterwarnings("ignore:Using `DistributedSampler` with the dataloaders")
def test_a_sharding_strategy_builds_the_network_when_it_is_ready(tmp_path):
    for was_built, are_sharded, error in results_of(_train_sharded, str(tmp_path)):
        assert not was_built
        assert are_sharded
        assert 0 < error < 2
