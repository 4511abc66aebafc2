import pytest
import torch
from torch import nn

from fno_lightning.layers.kernels.activation import _OneExponentialGELU, _PolynomialGELU, gelu

DENSE = torch.linspace(-12, 12, 20001, dtype=torch.float32)


def test_polynomials_are_closer_to_gelu_and_its_slope_than_bfloat16_rounds():
    x = DENSE.clone().requires_grad_()
    exact = DENSE.double().requires_grad_()
    y, expected = _PolynomialGELU.apply(x), nn.functional.gelu(exact)
    (slope,) = torch.autograd.grad(y.sum(), x)
    (expected_slope,) = torch.autograd.grad(expected.sum(), exact)
    tail = DENSE.abs().clamp(min=1)  # beyond the limits, Φ is off by a constant, which x multiplies
    assert ((y - expected).abs() / tail).max() < 6e-5
    assert (slope - expected_slope).abs().max() < 2.1e-4


@pytest.mark.usefixtures("compiler")
def test_compiled_in_bfloat16_it_is_gelu_up_to_rounding():
    x = torch.linspace(-6, 6, 1000).bfloat16()
    y = torch.compile(lambda values: gelu(values), backend="aot_eager", fullgraph=True)(x)
    torch.testing.assert_close(y.double(), nn.functional.gelu(x.double()), rtol=2**-8, atol=6 * 6e-5)
    assert torch.equal(gelu(x), nn.functional.gelu(x)), "not compiled, it is PyTorch's"


def test_the_slope_of_one_exponential_is_exact_to_float32():
    x = DENSE.clone().requires_grad_()
    exact = DENSE.double().requires_grad_()
    (slope,) = torch.autograd.grad(_OneExponentialGELU.apply(x).sum(), x)
    (expected,) = torch.autograd.grad(nn.functional.gelu(exact).sum(), exact)
    assert (slope - expected).abs().max() < 5e-7
