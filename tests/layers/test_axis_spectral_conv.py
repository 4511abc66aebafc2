import pytest
import torch

from fno_lightning.layers import AxisSpectralConv, CPWeight


@pytest.mark.parametrize("grid", [(12,), (12, 9), (8, 7, 10)])
def test_is_the_sum_of_filtered_ffts_along_each_axis(grid):
    torch.manual_seed(0)
    n_modes = (6, 4, 5)[: len(grid)]
    layer = AxisSpectralConv(2, 3, n_modes).double()
    x = torch.randn(2, *grid, 2, dtype=torch.float64)
    expected = layer.bias.expand(2, *grid, 3)
    for axis, (n, conv) in enumerate(zip(n_modes, layer.convolutions, strict=True), start=1):
        kernel = torch.view_as_complex(conv.weight.kernel.contiguous())  # (mode, in, out)
        spectrum = torch.fft.rfft(x, dim=axis).movedim(axis, 1)
        filtered = torch.zeros(2, spectrum.shape[1], *spectrum.shape[2:-1], 3, dtype=torch.complex128)
        kept = n // 2 + 1
        filtered[:, :kept] = torch.einsum("bk...i,kio->bk...o", spectrum[:, :kept], kernel)
        expected = expected + torch.fft.irfft(filtered.movedim(1, axis), n=grid[axis - 1], dim=axis)
    torch.testing.assert_close(layer(x), expected, rtol=1e-10, atol=1e-12)


def test_takes_bases_and_low_rank_weights():
    layer = AxisSpectralConv(2, 2, (4, 4), bases=("cosine", "fourier"), weight=CPWeight, bias=False)
    assert layer(torch.randn(1, 8, 6, 2)).shape == (1, 8, 6, 2)
    assert isinstance(layer.convolutions[0].weight, CPWeight)


def test_an_axis_without_a_basis_is_refused():
    with pytest.raises(ValueError, match="one basis for each entry"):
        AxisSpectralConv(2, 2, (4, 4), bases=("cosine",))
