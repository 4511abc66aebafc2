"""A layer that uses some of its modes is one that was built with them."""

import pytest
import torch

from fno_lightning.layers import (
    AxisSpectralConv,
    CPWeight,
    DenseWeight,
    SpectralConv,
    TensorTrainWeight,
    TuckerWeight,
    reduced_modes,
    restore_modes,
    spectral_layers,
)
from fno_lightning.models import FNO, UNO

CASES = {
    "1-D": ((12,), ("fourier",), (6,)),
    "1-D by FFT": ((160,), ("fourier",), (140,)),
    "odd": ((9, 7), ("fourier", "fourier"), (5, 3)),
    "odd of even": ((8, 8), ("fourier", "fourier"), (5, 2)),
    "mixed": ((6, 8), ("cosine", "fourier"), (3, 4)),
    "cosine": ((5, 6), ("cosine", "cosine"), (2, 5)),
    "3-D": ((4, 6, 6), ("fourier", "cosine", "fourier"), (2, 3, 4)),
}
WEIGHTS = {"dense": DenseWeight, "tucker": TuckerWeight, "cp": CPWeight, "tt": TensorTrainWeight}


def small_copy(conv, n_modes, bases, **options):
    """A convolution that is built with fewer modes, with the weights that another one has there."""
    small = SpectralConv(conv.weight.in_channels, conv.weight.out_channels, n_modes, bases=bases, **options)
    state = conv.state_dict()
    for axis, kept in enumerate(conv.transform.kept):
        factor, dim = conv.weight.factor_of(axis)
        (name,) = [name for name, parameter in conv.named_parameters() if parameter is factor]
        state[name] = state[name].movedim(dim, 0)[kept].movedim(0, dim)
    small.load_state_dict(state)
    return small


@pytest.mark.parametrize("filter_order", [None, 8])
@pytest.mark.parametrize("case", CASES)
def test_it_has_the_values_and_gradients_of_a_layer_with_so_many_modes(case, filter_order):
    n_modes, bases, kept = CASES[case]
    conv = SpectralConv(3, 2, n_modes, bases=bases, filter_order=filter_order).double()
    conv.keep_modes(kept)
    small = small_copy(conv, kept, bases, filter_order=filter_order).double()
    for n_points in (300,) if case == "1-D by FFT" else (12, 3):  # a grid that resolves them, and one that does not
        conv.zero_grad()
        small.zero_grad()
        x = torch.randn(2, *(n_points + axis for axis in range(len(n_modes))), 3, dtype=torch.float64)
        y = conv(x)
        assert torch.equal(y, small(x))
        y.square().mean().backward()
        small(x).square().mean().backward()
        whole = conv.weight.kernel.grad
        assert torch.equal(whole[conv.transform.kept], small.weight.kernel.grad)
        whole[conv.transform.kept] = 0
        assert not whole.any()


@pytest.mark.parametrize("implementation", ["factorized", "reconstructed"])
@pytest.mark.parametrize("name", ["tucker", "cp", "tt"])
def test_low_rank_weights_lose_the_rows_of_their_factors(name, implementation):
    def weight(in_channels, out_channels, n_coefficients, is_complex):
        rank = 3 if name == "cp" or name == "tucker" else (1, 3, 3, 3, 1)
        return WEIGHTS[name](
            in_channels, out_channels, n_coefficients, rank=rank, implementation=implementation, is_complex=is_complex
        )

    conv = SpectralConv(3, 2, (8, 6), bases=("fourier", "cosine"), weight=weight)
    conv.keep_modes((4, 3))
    small = small_copy(conv, (4, 3), ("fourier", "cosine"), weight=weight)
    x = torch.randn(2, 10, 9, 3)
    torch.testing.assert_close(conv(x), small(x))
    conv(x).square().mean().backward()
    for axis, kept in enumerate(conv.transform.kept):
        factor, dim = conv.weight.factor_of(axis)
        by_mode = factor.grad.movedim(dim, 0).flatten(1).abs().sum(dim=1)
        outside = torch.ones(len(by_mode), dtype=torch.bool)
        outside[kept] = False
        assert (by_mode[~outside] > 0).all()
        assert not by_mode[outside].any()


@pytest.mark.parametrize("name", WEIGHTS)
def test_modes_that_were_set_to_zero_change_nothing_and_can_be_trained(name):
    conv = SpectralConv(3, 2, (8, 6), bases=("fourier", "cosine"), weight=WEIGHTS[name])
    x = torch.randn(2, 10, 9, 3)
    conv.keep_modes((4, 3))
    few = conv(x)
    conv.zero_unused_modes_()
    assert torch.equal(conv(x), few)
    conv.keep_modes((8, 6))
    torch.testing.assert_close(conv(x), few)
    conv(x).square().mean().backward()
    for axis in range(2):
        assert (conv.gradient_strength(axis) > 0).all()


def test_along_one_axis_at_a_time_each_axis_has_its_modes():
    conv, axes = AxisSpectralConv(3, 2, (8, 6)), torch.randn(2, 10, 9, 3)
    assert conv.n_modes == conv.kept_modes == (8, 6)
    conv.keep_modes((4, 2))
    assert conv.kept_modes == (4, 2)
    assert [part.kept_modes for part in conv.convolutions] == [(4,), (2,)]
    small = AxisSpectralConv(3, 2, (4, 2))
    state = conv.state_dict()
    for axis, part in enumerate(conv.convolutions):
        state[f"convolutions.{axis}.weight.kernel"] = part.weight.kernel.detach()[part.transform.kept]
    small.load_state_dict(state)
    assert torch.equal(conv(axes), small(axes))


def test_the_strength_of_a_wave_number_is_the_gradient_at_it_and_its_negative():
    conv = SpectralConv(1, 1, (8, 6))
    conv.weight.kernel.grad = torch.randn_like(conv.weight.kernel)
    square = conv.weight.kernel.grad.square()
    waves = torch.arange(-4, 4)
    expected = torch.stack([square[waves.abs() == k].sum() for k in range(5)])
    torch.testing.assert_close(conv.gradient_strength(0), expected)
    torch.testing.assert_close(conv.gradient_strength(1), square.sum(dim=(0, 2, 3, 4)))
    conv.keep_modes((4, 2))
    assert [len(conv.gradient_strength(axis)) for axis in range(2)] == [3, 2]


def test_the_modes_of_a_network_are_plain_values_by_layer():
    network = UNO((8, 8), 1, 1, hidden_channels=4, n_levels=2)
    assert len(spectral_layers(network)) == 3
    assert len(spectral_layers(FNO((8, 8), 1, 1, hidden_channels=4, n_layers=2, by_axis=True))) == 2
    assert reduced_modes(network) == {}
    layer = spectral_layers(network)["down.1.conv"]
    layer.keep_modes((4, 2))
    saved = reduced_modes(network)
    assert saved == {"down.1.conv": [4, 2]}
    restore_modes(network, {})
    assert layer.kept_modes == (8, 8)
    restore_modes(network, saved)
    assert layer.kept_modes == (4, 2)


@pytest.mark.parametrize("n_modes", [(4,), (9, 4), (0, 4)])
def test_numbers_of_modes_that_a_layer_does_not_have_are_refused(n_modes):
    with pytest.raises(ValueError, match=r"a layer with n_modes \(8, 6\) cannot use"):
        SpectralConv(1, 1, (8, 6)).keep_modes(n_modes)


@pytest.mark.long
def test_a_compiled_network_follows(compiler):
    network = FNO((8, 8), 1, 1, hidden_channels=4, n_layers=1)
    compiled = torch.compile(network, backend="eager")
    x = torch.randn(2, 1, 12, 12)
    for n in range(1, 9):
        for layer in spectral_layers(network).values():
            layer.keep_modes((n, 8))
        torch.testing.assert_close(compiled(x), network(x))
