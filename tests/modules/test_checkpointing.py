import copy
import pickle
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fno_lightning.cli import main
from fno_lightning.models import FNO, TFNO
from fno_lightning.modules import FNOModule, NetworkModule, checkpointing
from fno_lightning.modules.checkpointing import checkpoint_activations, repeated_blocks


class Residual(nn.Module):
    """A block of a user's network, with random numbers and running statistics."""

    def __init__(self, channels):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(channels, 4 * channels, 1), nn.GELU(), nn.Conv1d(4 * channels, channels, 1)
        )
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x, *, scale):
        noise = F.dropout(torch.ones_like(x), 0.3, self.training)
        return x + scale * self.norm(self.layers(x * noise).sin())


class OwnNetwork(nn.Module):
    """A user's network with blocks in a ModuleList."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.blocks = nn.ModuleList(Residual(in_channels) for _ in range(3))
        self.last = nn.Conv1d(in_channels, out_channels, 1)

    def forward(self, x):
        for block in self.blocks:
            x = block(x, scale=0.5)
        return self.last(x)


class OneBlock(nn.Module):
    """A user's network without repeated blocks."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(in_channels, 8, 1), nn.Tanh(), nn.Conv1d(8, out_channels, 1), nn.Tanh())

    def forward(self, x):
        return self.layers(x)


NETWORKS = {
    "FNO": lambda: FNO((4,), 3, 2, 8, 2),
    "FNO with dropout": lambda: FNO((4,), 3, 2, 8, 2, channel_mlp_dropout=0.4),
    "TFNO": lambda: TFNO((4,), 3, 2, 8, 2),
    "own": lambda: OwnNetwork(3, 2),
    "one block": lambda: OneBlock(3, 2),
}


def network_of(kind, mode):
    torch.manual_seed(0)
    network = NETWORKS[kind]()
    checkpoint_activations(network, mode)
    return network


def loss_and_gradients(network, **options):
    torch.manual_seed(1)
    x = torch.randn(5, 3, 16, requires_grad=True)
    loss = network(x).square().mean()
    return loss, torch.autograd.grad(loss, [x, *network.parameters()], **options)


def evaluations(network):
    """A list to which every evaluation of one of the blocks, from now on, adds the block's number."""
    found = []
    for number, block in enumerate(network.blocks):
        block.layers[0].register_forward_hook(lambda *_, number=number: found.append(number))
    return found


def kept_values(network):
    """Number of values that are kept for the backward pass."""
    kept = {}
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.setdefault(t.data_ptr(), t).numel() and t, lambda t: t
    ):
        network(torch.randn(5, 3, 16, requires_grad=True))
    return sum(tensor.numel() for tensor in kept.values())


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("mode", ["none", "full", "offload"])
def test_loss_gradients_and_state_do_not_depend_on_the_mode(kind, mode):
    plain, network = network_of(kind, "auto"), network_of(kind, mode)
    assert network.state_dict().keys() == plain.state_dict().keys()
    torch.testing.assert_close(loss_and_gradients(network), loss_and_gradients(plain), rtol=0, atol=0)
    torch.testing.assert_close(dict(network.named_buffers()), dict(plain.named_buffers()), rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["FNO", "own", "one block"])
def test_full_checkpointing_keeps_less(kind):
    assert kept_values(network_of(kind, "full")) < 0.6 * kept_values(network_of(kind, "none"))


def test_full_checkpointing_evaluates_each_block_of_a_users_network_twice():
    network = network_of("own", "full")
    found = evaluations(network)
    loss_and_gradients(network)
    assert found == [0, 1, 2, 2, 1, 0]
    with torch.no_grad():
        network(torch.randn(5, 3, 16))
    assert found[6:] == [0, 1, 2]


@pytest.mark.parametrize("kind", ["FNO", "own"])
def test_gradients_of_checkpointed_blocks_can_be_differentiated(kind):
    def second_derivatives(network):
        network.eval()
        _, (slope, *_) = loss_and_gradients(network, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), list(network.parameters()), allow_unused=True)

    found, expected = (second_derivatives(network_of(kind, mode)) for mode in ("full", "none"))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("kind", ["FNO", "own", "one block"])
@pytest.mark.parametrize("mode", ["none", "full", "offload"])
def test_checkpointed_networks_compile(kind, mode):
    eager, compiled = network_of(kind, mode).eval(), network_of(kind, mode).eval()
    compiled.compile(backend="aot_eager", fullgraph=mode != "offload")
    torch.testing.assert_close(loss_and_gradients(compiled), loss_and_gradients(eager), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "training", "is_read"),
    [("FNO", True, False), ("FNO with dropout", True, True), ("FNO with dropout", False, False)],
)
def test_in_a_cuda_graph_the_state_of_random_numbers_is_read_for_dropout_only(kind, training, is_read, monkeypatch):
    network = network_of(kind, "full").train(training)
    reads, get_rng_state = [], torch.get_rng_state
    monkeypatch.setattr(checkpointing, "_is_capturing", lambda: True)
    monkeypatch.setattr(torch, "get_rng_state", lambda: reads.append(1) or get_rng_state())
    network(torch.randn(5, 3, 16))
    assert bool(reads) is is_read


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))])
def test_a_copy_evaluates_its_own_blocks(copied):
    network = network_of("own", "full")
    twin = copied(network)
    of_network, of_twin = evaluations(network), evaluations(twin)
    loss_and_gradients(twin)
    assert (of_network, of_twin) == ([], [0, 1, 2, 2, 1, 0])


def test_repeated_blocks_are_the_outermost_members_that_consist_of_modules():
    fno = FNO((4,), 3, 2, 8, 2)
    assert repeated_blocks(fno) == list(fno.blocks)
    one_block = OneBlock(3, 2)
    assert repeated_blocks(one_block) == [one_block]
    shared = nn.Sequential(nn.Linear(2, 2))
    nested = nn.Sequential(nn.ModuleList([shared, nn.ReLU()]), nn.Sequential(nn.Sequential(nn.Linear(2, 2))), shared)
    assert repeated_blocks(nested) == [shared, nested[1]]


def test_the_mode_of_a_module_is_a_choice_of_the_run(make_data):
    data = make_data()
    data.prepare_data()
    batch = next(iter(data.train_dataloader()))
    own = {"class_path": "tests.modules.test_checkpointing.OwnNetwork"}
    module = NetworkModule(own, spec=data.spec, n_steps_input=2, activation_checkpointing="full")
    module.configure_model()
    found = evaluations(module.network)
    loss, _ = module.step(batch)
    loss.backward()
    assert found == [0, 1, 2, 2, 1, 0]
    assert not {"activations", "activation_checkpointing"} & set(module.hparams)


@pytest.mark.parametrize(("former", "current"), [("keep", "none"), ("recompute", "full"), ("offload", "offload")])
def test_the_former_name_of_the_option_warns_and_goes_on(former, current, make_data):
    spec = make_data().spec
    with pytest.warns(FutureWarning, match=f"activations: {former} is now activation_checkpointing: {current}"):
        module = FNOModule(spec, n_modes=[4], n_steps_input=2, activations=former)
    assert module.activation_checkpointing == current


@pytest.mark.parametrize(
    ("option", "current"), [("activation_checkpointing: full", "full"), ("activations: recompute", "full")]
)
@pytest.mark.filterwarnings("ignore:activations. recompute is now:FutureWarning")
def test_a_configuration_file_may_have_either_name(option, current, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("wave.yaml").write_text(f"""
model:
  class_path: fno_lightning.modules.FNOModule
  init_args: {{n_modes: [4], hidden_channels: 4, n_layers: 1, {option}}}
data:
  class_path: fno_lightning.data.GeneratedDataModule
  init_args: {{pde: {{class_path: tests.travelling_wave.TravellingWave}}, n_train: 1, n_steps_input: 2}}
trainer: {{accelerator: cpu, enable_progress_bar: false, enable_model_summary: false}}
""")
    cli = main(["fit", "--config", "wave.yaml", "--trainer.fast_dev_run=1"])
    assert cli.model.activation_checkpointing == current
