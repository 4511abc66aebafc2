import math

import pytest
import torch

from fno_lightning.layers import CPWeight, DenseWeight, SpectralConv, TensorTrainWeight, TuckerWeight


def identity_conv(n_modes, bases=None):
    conv = SpectralConv(1, 1, n_modes, bases=bases, bias=False).double()
    with torch.no_grad():
        conv.weight.kernel.zero_()[..., 0] = 1
    return conv


def band_limited(grid, bases, offset=0.0):
    """A smooth function sampled on the grid: modes up to 3 on each axis, moved by ``offset`` along each axis."""
    field = torch.ones(grid, dtype=torch.float64)
    for axis, (n_points, basis) in enumerate(zip(grid, bases, strict=True)):
        if basis == "fourier":
            x = 2 * torch.pi * (torch.arange(n_points, dtype=torch.float64) / n_points - offset)
            values = 0.3 + torch.sin(x) - 0.5 * torch.cos(3 * x) + 0.2 * torch.sin(2 * x)
        else:
            x = torch.pi * (torch.arange(n_points, dtype=torch.float64) + 0.5) / n_points
            values = 0.7 - torch.cos(x) + 0.4 * torch.cos(3 * x)
        field = field * values.reshape([-1 if other == axis else 1 for other in range(len(grid))])
    return field[None, ..., None]


@pytest.mark.parametrize(
    "bases",
    [
        ("fourier",),
        ("cosine",),
        ("fourier", "fourier"),
        ("fourier", "cosine"),
        ("cosine", "fourier"),
        ("cosine", "cosine"),
        ("fourier", "fourier", "fourier"),
        ("fourier", "cosine", "fourier"),
    ],
)
@pytest.mark.parametrize("sizes", [(9, 8, 11), (16, 13, 10), (24, 31, 8)])
def test_band_limited_field_passes_unchanged_at_any_resolution(bases, sizes):
    field = band_limited(sizes[: len(bases)], bases)
    conv = identity_conv((8,) * len(bases), bases)
    torch.testing.assert_close(conv(field), field, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_dims", [1, 2, 3])
@pytest.mark.parametrize("n_modes", [6, 7])
def test_whole_grid_shifts_pass_through(n_dims, n_modes):
    conv = SpectralConv(2, 3, (n_modes,) * n_dims).double()
    field = torch.randn(2, *(12, 9, 7)[:n_dims], 2, dtype=torch.float64)
    dims, shifts = tuple(range(1, n_dims + 1)), (5, 2, 3)[:n_dims]
    torch.testing.assert_close(conv(field.roll(shifts, dims)), conv(field).roll(shifts, dims), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_dims", [1, 2, 3])
def test_sub_grid_shifts_of_band_limited_fields_pass_through(n_dims):
    bases = ("fourier",) * n_dims
    conv = SpectralConv(1, 1, (8,) * n_dims).double()
    moved_in_steps = conv(band_limited((24,) * n_dims, bases)).roll((1,) * n_dims, tuple(range(1, n_dims + 1)))
    moved_by_third = band_limited((8,) * n_dims, bases, offset=1 / 24)
    coarse = conv(moved_by_third)
    every_third = (slice(None), *[slice(0, None, 3)] * n_dims)
    torch.testing.assert_close(coarse, moved_in_steps[every_third], rtol=0, atol=1e-12)


def test_only_periodic_axes_are_shift_equivariant():
    conv = SpectralConv(1, 1, (6, 6), bases=("fourier", "cosine")).double()
    field = torch.randn(1, 12, 12, 1, dtype=torch.float64)
    torch.testing.assert_close(conv(field.roll(3, 1)), conv(field).roll(3, 1), rtol=0, atol=1e-12)
    assert (conv(field.roll(3, 2)) - conv(field).roll(3, 2)).abs().max() > 1e-3


@pytest.mark.parametrize("grid", [(16, 12), (15, 13), (5, 4), (7, 30)])
def test_weights_multiply_the_fft(grid):
    """Independent reference: FFT, correct shifts on odd sizes, and modes in the middle of the stored weight."""
    conv = SpectralConv(2, 3, (8, 6)).double()
    field = torch.randn(2, *grid, 2, dtype=torch.float64)
    spectrum = torch.fft.fftshift(torch.fft.rfftn(field, dim=(1, 2)), dim=1)
    rows, columns = min(8, grid[0]), min(4, grid[1] // 2 + 1)
    weight = torch.view_as_complex(conv.weight.kernel.detach())
    weight = weight[4 - rows // 2 : 4 - rows // 2 + rows, :columns]
    centre = grid[0] // 2
    kept = (slice(None), slice(centre - rows // 2, centre - rows // 2 + rows), slice(columns))
    mixed = spectrum.new_zeros(*spectrum.shape[:-1], 3)
    mixed[kept] = torch.einsum("bxyi,xyio->bxyo", spectrum[kept], weight)
    expected = torch.fft.irfftn(torch.fft.ifftshift(mixed, dim=1), s=grid, dim=(1, 2)) + conv.bias
    torch.testing.assert_close(conv(field), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("weight", [DenseWeight, TuckerWeight, CPWeight, TensorTrainWeight])
@pytest.mark.parametrize("bases", [("fourier", "fourier"), ("cosine", "fourier"), ("cosine", "cosine")])
def test_gradients(weight, bases):
    conv = SpectralConv(2, 2, (3, 2), bases=bases, weight=weight).double()
    names, parameters = zip(*conv.named_parameters(), strict=True)
    field = torch.randn(1, 4, 5, 2, dtype=torch.float64, requires_grad=True)

    def output(field, *parameters):
        return torch.func.functional_call(conv, dict(zip(names, parameters, strict=True)), (field,))

    assert torch.autograd.gradcheck(output, (field, *parameters))


def test_bias_is_added_to_every_point():
    conv = SpectralConv(2, 3, (4, 4), bases=("cosine", "fourier")).double()
    with torch.no_grad():
        conv.bias.copy_(torch.tensor([1.0, -2.0, 3.0]))
    at_zero = conv(torch.zeros(2, 5, 6, 2, dtype=torch.float64))
    torch.testing.assert_close(at_zero, conv.bias.expand(2, 5, 6, 3).detach(), rtol=0, atol=1e-14)


def test_weights_are_real_without_fourier_axes():
    assert SpectralConv(2, 3, (4, 5), bases=("cosine", "cosine")).weight.kernel.shape == (4, 5, 2, 3, 1)
    assert SpectralConv(2, 3, (4, 5), bases=("cosine", "fourier")).weight.kernel.shape == (4, 3, 2, 3, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_modes": (4, 4), "bases": ("fourier",)}, "one basis for each entry of n_modes"),
        ({"n_modes": (4, 0)}, "must be positive"),
        ({"n_modes": ()}, "must be positive"),
    ],
)
def test_refuses_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SpectralConv(2, 2, **arguments)


@pytest.mark.parametrize("bases", [("fourier", "fourier"), ("cosine", "fourier")])
def test_a_filter_keeps_the_mean_and_damps_the_shortest_waves(bases):
    torch.manual_seed(0)
    plain = SpectralConv(1, 1, (8, 8), bases=bases).double()
    filtered = SpectralConv(1, 1, (8, 8), bases=bases, filter_order=4).double()
    filtered.load_state_dict(plain.state_dict())
    points = torch.arange(32, dtype=torch.float64) / 32
    for waves, factor in ((0, 1.0), (2, math.exp(-36 * (2 / 4) ** 4)), (4, math.exp(-36))):
        x = torch.cos(2 * torch.pi * waves * points).expand(1, 32, 32)[..., None]
        change = [conv(x) - conv(0 * x) for conv in (filtered, plain)]
        torch.testing.assert_close(change[0], factor * change[1], rtol=1e-6, atol=1e-9)
    assert plain.state_dict().keys() == filtered.state_dict().keys()


def test_a_filter_has_a_positive_order():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        SpectralConv(1, 1, (4,), filter_order=0)
