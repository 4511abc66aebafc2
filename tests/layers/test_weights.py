import warnings

import pytest
import torch
from tensorly.cp_tensor import validate_cp_rank
from tensorly.tt_tensor import validate_tt_rank
from tensorly.tucker_tensor import validate_tucker_rank

from fno_lightning.layers import CPWeight, DenseWeight, TensorTrainWeight, TuckerWeight
from fno_lightning.layers.cp_weight import cp_rank
from fno_lightning.layers.tensor_train_weight import tensor_train_rank
from fno_lightning.layers.tucker_weight import tucker_rank

LOW_RANK = [TuckerWeight, CPWeight, TensorTrainWeight]
EVERY_MODE = (slice(None), slice(None))


def as_complex(weight, modes=EVERY_MODE):
    dense = weight.dense(modes)
    return torch.view_as_complex(dense.contiguous()) if dense.shape[-1] == 2 else dense.squeeze(-1)


@pytest.mark.parametrize("weight", LOW_RANK)
@pytest.mark.parametrize("is_complex", [True, False])
@pytest.mark.parametrize("modes", [EVERY_MODE, (slice(1, 4), slice(0, 2))])
def test_factorized_is_reconstructed(weight, is_complex, modes):
    weight = weight(4, 3, (5, 4), rank=0.6, is_complex=is_complex).double()
    shape = weight.dense(modes).shape
    coefficients = torch.randn(2, shape[-1], *shape[:2], 4, dtype=torch.float64)
    factorized = weight(coefficients, modes)
    weight.implementation = "reconstructed"
    torch.testing.assert_close(weight(coefficients, modes), factorized, rtol=1e-12, atol=1e-14)


def test_mixing_is_the_complex_product():
    weight = DenseWeight(4, 3, (5, 2)).double()
    coefficients = torch.randn(2, 2, 5, 2, 4, dtype=torch.float64)
    mixed = weight(coefficients, EVERY_MODE)
    expected = torch.einsum(
        "bxyi,xyio->bxyo", torch.complex(*coefficients.unbind(1)), torch.view_as_complex(weight.kernel.detach())
    )
    torch.testing.assert_close(torch.complex(*mixed.unbind(1)), expected, rtol=1e-13, atol=1e-14)


def test_tucker_is_its_definition():
    weight = TuckerWeight(4, 3, (5, 2), rank=(2, 3, 4, 2)).double()
    core, u_in, u_out, u_x, u_y = complex_factors(weight, weight.core)
    expected = torch.einsum("cdab,ia,bo,xc,yd->xyio", core, u_in, u_out, u_x, u_y)
    torch.testing.assert_close(as_complex(weight), expected)


def test_cp_is_its_definition():
    weight = CPWeight(4, 3, (5, 2), rank=6).double()
    scale, u_in, u_out, u_x, u_y = complex_factors(weight, weight.scale)
    torch.testing.assert_close(as_complex(weight), torch.einsum("r,ir,ro,xr,yr->xyio", scale, u_in, u_out, u_x, u_y))


def test_tensor_train_is_its_definition():
    weight = TensorTrainWeight(4, 3, (5, 2), rank=(1, 2, 3, 2, 1)).double()
    g_in, g_out, g_x, g_y = complex_factors(weight)
    torch.testing.assert_close(as_complex(weight), torch.einsum("ia,aob,bxc,cyd->xyio", g_in, g_out, g_x, g_y))


@pytest.mark.parametrize("shape", [(64, 64, 16, 9), (32, 32, 7), (20, 20, 8, 8, 5), (3, 5, 4, 4)])
@pytest.mark.parametrize("rank", [0.05, 0.1, 0.5, 1.0, 3])
def test_ranks_are_tensorlys(shape, rank):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert tucker_rank(shape, rank) == tuple(validate_tucker_rank(shape, rank))
        assert cp_rank(shape, rank) == validate_cp_rank(shape, rank)
        assert tensor_train_rank(shape, rank) == tuple(validate_tt_rank(shape, rank))


@pytest.mark.parametrize("weight", LOW_RANK)
def test_rank_is_the_fraction_of_parameters(weight):
    dense, low_rank = DenseWeight(64, 64, (16, 9)), weight(64, 64, (16, 9), rank=0.1)
    assert n_parameters(low_rank) == pytest.approx(0.1 * n_parameters(dense), rel=0.05)


@pytest.mark.parametrize("weight", [DenseWeight, TuckerWeight])
@pytest.mark.parametrize("is_complex", [True, False])
def test_entries_start_with_the_same_variance(weight, is_complex):
    torch.manual_seed(0)
    weight = weight(24, 40, (16, 9), is_complex=is_complex)
    assert as_complex(weight).abs().square().mean().sqrt().item() == pytest.approx((2 / 64) ** 0.5, rel=0.15)


@pytest.mark.parametrize(
    ("weight", "rank"), [(TuckerWeight, (2, 2)), (TensorTrainWeight, (1, 2, 1)), (TensorTrainWeight, (2, 2, 2, 2, 1))]
)
def test_refuses_ranks_that_do_not_fit(weight, rank):
    with pytest.raises(ValueError, match="needs"):
        weight(4, 4, (4, 3), rank=rank)


def complex_factors(weight, *others):
    factors = (*others, weight.in_factor, weight.out_factor, *weight.mode_factors)
    return [torch.view_as_complex(factor.detach()) for factor in factors]


def n_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())
