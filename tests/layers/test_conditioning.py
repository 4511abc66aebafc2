import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fno_lightning.layers import FiLM, FNOBlock, SpectralConv

CONDITIONS = torch.tensor([[0.3, -1.2], [1.5, 0.4], [0.0, 2.0]], dtype=torch.float64)


def trained(layer):
    """The layer in float64, with weights that are no longer zero."""
    torch.manual_seed(0)
    for parameter in layer.double().parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer


def perceptron(mlp, conditions):
    """What a perceptron returns for the parameters of one sample, in sums of numbers."""
    first, last = mlp.layers
    hidden = F.gelu(torch.stack([row @ conditions for row in first.weight]) + first.bias)
    return torch.stack([row @ hidden for row in last.weight]) + last.bias


@pytest.mark.parametrize("grid", [(7,), (4, 5), (3, 2, 4)])
def test_film_scales_and_shifts_what_the_activation_acts_on(grid):
    block = trained(FNOBlock(nn.Identity(), 3, use_channel_mlp=False, film=FiLM(2, 3)))
    x = torch.randn(3, *grid, 3, dtype=torch.float64)
    found = block(x, CONDITIONS.view(3, *(1,) * len(grid), 2))
    for sample, conditions in enumerate(CONDITIONS):
        factors = perceptron(block.film.mlp, conditions)
        h = x[sample] + x[sample] @ block.skip.weight.T
        expected = F.gelu(F.gelu((1 + factors[:3]) * h + factors[3:]))
        torch.testing.assert_close(found[sample], expected)


@pytest.mark.parametrize("grid", [(12, 9), (5, 4)])  # the second does not resolve all stored waves
def test_a_mode_is_scaled_by_the_factors_of_its_waves_and_channel(grid):
    """Independent reference: FFT, and a loop over the modes; the convolution itself keeps them as they are."""
    conv = trained(SpectralConv(3, 3, (6, 6), bias=False, n_conditions=2))
    with torch.no_grad():
        conv.weight.kernel.zero_()[..., 0] = torch.eye(3)
    field = torch.randn(3, *grid, 3, dtype=torch.float64)
    spectrum = torch.fft.rfftn(field, dim=(1, 2))
    expected = torch.zeros_like(spectrum)
    for sample, conditions in enumerate(CONDITIONS):
        of_channels, of_first, of_second = (1 + perceptron(conv.modulation.mlp, conditions)).split([3, 6, 4])
        for first in range(-min(6, grid[0]) // 2, (min(6, grid[0]) + 1) // 2):
            for second in range(min(4, grid[1] // 2 + 1)):
                factors = of_channels * of_first[3 + first] * of_second[second]
                expected[sample, first, second] = factors * spectrum[sample, first, second]
    found = conv(field, CONDITIONS.view(3, 1, 1, 2))
    torch.testing.assert_close(found, torch.fft.irfftn(expected, s=grid, dim=(1, 2)))
