from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.signal import correlate

from fno_lightning.layers import ConvolutionBranch, DifferentialBranch


def waves(n, m):
    x, y = torch.arange(n, dtype=torch.float64) / n, (torch.arange(m, dtype=torch.float64) + 0.5) / m
    x, y = torch.meshgrid(x, y, indexing="ij")
    value = torch.sin(2 * torch.pi * x) * torch.cos(torch.pi * y)
    d_x = 2 * torch.pi * torch.cos(2 * torch.pi * x) * torch.cos(torch.pi * y)
    d_y = -torch.pi * torch.sin(2 * torch.pi * x) * torch.sin(torch.pi * y)
    return value, d_x, d_y


def test_the_differential_branch_converges_to_first_derivatives_to_second_order():
    branch = DifferentialBranch(1, n_modes=(8, 4), periodic=(True, False)).double()
    branch.mix.weight.data = torch.tensor([[2.0, 3.0]], dtype=torch.float64)
    errors = []
    for n in (16, 32, 64):
        value, d_x, d_y = waves(n, n)
        expected = 2 * d_x / (8 * torch.pi) + 3 * d_y / (4 * torch.pi)
        found = branch(value[None, ..., None])[0, ..., 0]
        errors.append((found - expected)[:, 1:-1].abs().max().item())
    assert [np.log2(coarse / fine) for coarse, fine in pairwise(errors)] == pytest.approx([2, 2], abs=0.1)


def test_the_shortest_wave_of_a_spectral_convolution_has_a_derivative_of_its_own_size():
    branch = DifferentialBranch(1, n_modes=(16,), periodic=(True,)).double()
    branch.mix.weight.data.fill_(1.0)
    wave = torch.sin(2 * torch.pi * 8 * torch.arange(512, dtype=torch.float64) / 512)
    assert branch(wave.view(1, -1, 1)).abs().max().item() == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("periodic", [(True,), (False,), (True, False), (False, True, True)])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_the_convolution_branch_is_a_correlation_that_continues_over_the_ends(periodic, size):
    grid = (7, 6, 5)[: len(periodic)]
    branch = ConvolutionBranch(2, size, periodic).double()
    x = torch.randn(1, *grid, 2, dtype=torch.float64)
    expected = np.zeros((*grid, 2))
    padded = x[0].numpy()
    for axis, wraps in enumerate(periodic):
        widths = [(size // 2,) * 2 if i == axis else (0, 0) for i in range(padded.ndim)]
        padded = np.pad(padded, widths, mode="wrap" if wraps else "edge")
    kernel = branch.conv.weight.detach().numpy()
    for i in range(2):
        for j in range(2):
            expected[..., i] += correlate(padded[..., j], kernel[i, j], mode="valid")
    np.testing.assert_allclose(branch(x)[0].detach(), expected, atol=1e-12)


@pytest.mark.parametrize("n_dims", [1, 2, 3])
def test_local_branches_are_shift_equivariant_on_periodic_axes(n_dims):
    x = torch.randn(2, *(8, 6, 5)[:n_dims], 3, dtype=torch.float64)
    axes, shifts = tuple(range(1, n_dims + 1)), (3, 2, 1)[:n_dims]
    periodic = (True,) * n_dims
    for branch in (DifferentialBranch(3, (4,) * n_dims, periodic), ConvolutionBranch(3, 3, periodic)):
        branch = branch.double()
        torch.testing.assert_close(branch(x.roll(shifts, axes)), branch(x).roll(shifts, axes), rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [0, 2, -1])
def test_even_kernels_are_refused(size):
    with pytest.raises(ValueError, match=f"odd number of points, got {size}"):
        ConvolutionBranch(2, size, (True,))
