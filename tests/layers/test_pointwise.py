import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fno_lightning.layers import ChannelMLP, DomainPadding, FNOBlock, GridEmbedding, GroupNorm, InstanceNorm, SoftGating

GRIDS = [(11,), (6, 7), (4, 5, 3)]


@pytest.mark.parametrize("grid", GRIDS)
def test_norms_are_pytorchs(grid):
    x = torch.randn(2, *grid, 6, dtype=torch.float64) * 3 + 1
    channels_first = x.movedim(-1, 1)
    group_norm = GroupNorm(6).double()
    with torch.no_grad():
        group_norm.weight.copy_(torch.randn(6))
        group_norm.bias.copy_(torch.randn(6))
    expected = F.group_norm(channels_first, 1, group_norm.weight, group_norm.bias).movedim(1, -1)
    torch.testing.assert_close(group_norm(x), expected)
    torch.testing.assert_close(InstanceNorm()(x), F.instance_norm(channels_first).movedim(1, -1))


def test_norms_of_low_precision_fields_are_computed_in_float32():
    x = (100 + torch.randn(2, 50, 3)).bfloat16()
    expected = F.instance_norm(x.float().movedim(-1, 1)).movedim(1, -1)
    torch.testing.assert_close(InstanceNorm()(x), expected.bfloat16())


@pytest.mark.parametrize("grid", GRIDS)
def test_grid_embedding_appends_positions(grid):
    x = torch.randn(2, *grid, 3)
    embedded = GridEmbedding()(x)
    assert torch.equal(embedded[..., :3], x)
    for axis, n_points in enumerate(grid):
        positions = embedded[1, ..., 3 + axis].movedim(axis, 0)
        expected = torch.linspace(0, 1, n_points + 1)[:-1].reshape(-1, *[1] * (len(grid) - 1)).expand_as(positions)
        torch.testing.assert_close(positions, expected)


@pytest.mark.parametrize("grid", GRIDS)
def test_padding_surrounds_the_field_with_zeros(grid):
    padding = DomainPadding((0.3, 0.0, 0.5)[: len(grid)])
    x = torch.rand(2, *grid, 3) + 1
    padded = padding(x)
    assert padded.shape[1:-1] == tuple(n + 2 * round(f * n) for n, f in zip(grid, padding.fractions, strict=True))
    assert torch.equal(padding.crop(padded, grid), x)
    assert padded.count_nonzero() == x.numel()


def test_channel_mlp_is_a_perceptron_at_every_point():
    mlp = ChannelMLP(3, 8, 2)
    reference = nn.Sequential(mlp.layers[0], nn.GELU(), mlp.layers[1])
    x = torch.randn(2, 4, 5, 3)
    torch.testing.assert_close(mlp(x)[1, 2, 3], reference(x[1, 2, 3]))
    assert len(ChannelMLP(3, 0, 2).layers) == 1


def test_dropout_only_acts_in_training():
    mlp, x = ChannelMLP(3, 64, 2, dropout=0.5), torch.randn(1, 9, 3)
    assert not torch.equal(mlp(x), mlp(x))
    mlp.eval()
    assert torch.equal(mlp(x), mlp(x))


def test_soft_gating_keeps_the_precision_of_the_field():
    assert SoftGating(3)(torch.ones(1, 2, 3, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_block_is_its_formula():
    block = FNOBlock(nn.Linear(4, 4), 4, norm="layer_norm", channel_mlp_skip="soft-gating")
    x = torch.randn(2, 5, 4)
    h = F.gelu(block.conv_norm(block.conv(x)) + block.skip(x))
    expected = F.gelu(block.mlp_norm(block.mlp(h) + block.mlp_skip(x)))
    torch.testing.assert_close(block(x), expected)


def test_block_without_connections():
    block = FNOBlock(nn.Linear(4, 4), 4, skip=None, use_channel_mlp=False, activate=False)
    x = torch.randn(2, 5, 4)
    torch.testing.assert_close(block(x), block.conv(x))
    assert {name for name, _ in block.named_parameters()} == {"conv.weight", "conv.bias"}
