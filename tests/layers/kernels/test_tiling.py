import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fno_lightning.layers import ChannelMLP, FNOBlock
from fno_lightning.layers.kernels import dispatch, tiling
from fno_lightning.layers.kernels.tiling import tiled
from fno_lightning.models import FNO
from fno_lightning.modules.checkpointing import checkpoint_activations


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of few points, so that small fields have many, the last one incomplete."""
    monkeypatch.setattr(dispatch, "TILE_VALUES", 200)


def loss_and_gradients(network, x, **options):
    loss = network(x).square().mean()
    return loss, torch.autograd.grad(loss, [x, *network.parameters()], **options)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_channel_mlp": False},
        {"channel_mlp_skip": "linear", "fno_skip": "soft-gating"},
        {"norm": "layer_norm"},
        {"norm": "instance_norm"},
        {"channel_mlp_skip": None, "fno_skip": None, "domain_padding": 0.2},
        {"conditioning": "film", "n_conditions": 2},
        {"conditioning": "film", "n_conditions": 1, "norm": "group_norm"},
        {"conditioning": "spectral", "n_conditions": 2},
    ],
)
@pytest.mark.parametrize("grid", [(17, 13), (3, 4)])  # tiles of a part of a sample, and of two samples
def test_tiles_change_nothing(settings, grid, monkeypatch):
    torch.manual_seed(0)
    network = FNO((6, 4), 3, 2, 8, 2, **settings)
    for block in network.blocks:
        for parameter in (*block.conv.parameters(), *(block.film.parameters() if block.film else ())):
            parameter.data.normal_(std=0.2)  # some are zero at first
    x = torch.randn(5, 3, *grid, requires_grad=True)
    whole = loss_and_gradients(network, x)
    monkeypatch.setattr(dispatch, "TILE_VALUES", 200)
    calls = []
    monkeypatch.setattr(tiling, "_tiles", lambda rows, tiles=tiling._tiles: calls.append(len(rows)) or tiles(rows))
    torch.testing.assert_close(loss_and_gradients(network, x), whole, rtol=1e-5, atol=1e-7)
    assert calls, "nothing was evaluated in tiles"


@pytest.mark.usefixtures("small_tiles")
def test_only_the_inputs_are_kept_for_the_backward_pass():
    weight = torch.randn(40, 8, requires_grad=True)
    back = torch.randn(8, 40)
    x = torch.randn(500, 8, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        tiled(lambda points: F.gelu(points @ weight.t()) @ back.t(), [x], [weight])
    assert sum(kept) == x.numel() + weight.numel()


@pytest.mark.usefixtures("small_tiles")
def test_gradients_can_be_differentiated():
    torch.manual_seed(0)
    network = FNO((6,), 1, 1, 8, 1)
    x = torch.randn(2, 1, 40, requires_grad=True)

    def second_derivatives():
        _, (slope, *_) = loss_and_gradients(network, x, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), list(network.parameters()), allow_unused=True)

    in_tiles = second_derivatives()
    dispatch.TILE_VALUES = 2**19
    for found, expected in zip(in_tiles, second_derivatives(), strict=True):
        assert found is expected is None or (found - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.usefixtures("small_tiles")
def test_tiles_inside_recomputed_blocks():
    torch.manual_seed(0)
    network = FNO((6,), 1, 1, 8, 2)
    x = torch.randn(2, 1, 100, requires_grad=True)
    kept = loss_and_gradients(network, x)
    checkpoint_activations(network, "full")
    torch.testing.assert_close(loss_and_gradients(network, x), kept, rtol=0, atol=0)


@pytest.mark.usefixtures("small_tiles")
def test_frozen_parameters_and_inputs_get_no_gradient():
    torch.manual_seed(0)
    network = FNO((6,), 1, 1, 8, 1)
    network.lifting.requires_grad_(False)
    network(torch.randn(2, 1, 100)).sum().backward()
    assert all((p.grad is None) is name.startswith("lifting") for name, p in network.named_parameters())


@pytest.mark.usefixtures("small_tiles")
def test_dropout_is_not_drawn_twice():
    network = FNO((6,), 1, 1, 8, 1, channel_mlp_dropout=0.5)
    assert not network.blocks[0]._acts_on_points


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("layer", [ChannelMLP(8, 8, 8), FNOBlock(nn.Identity(), 8)])
def test_a_layer_is_tiled_unless_it_is_told_not_to_be(layer):
    x = torch.randn(500, 8)
    tiled_result = layer(x)
    layer.tiling = False
    whole = layer(x)
    assert type(tiled_result.grad_fn).__name__ == "_TiledBackward" != type(whole.grad_fn).__name__
    torch.testing.assert_close(tiled_result, whole, rtol=1e-5, atol=1e-7)
