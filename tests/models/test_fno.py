import copy
import inspect

import pytest
import torch

from fno_lightning.models import FFNO, FNO, TFNO

N_MODES = (6, 4, 4)
GRID = (12, 10, 7)


def small(n_dims, network=FNO, **settings):
    return network(N_MODES[:n_dims], 3, 2, 8, 2, **settings)


def relative_error(actual, expected):
    return ((actual - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("n_dims", [1, 2, 3])
@pytest.mark.parametrize("network", [FNO, TFNO, FFNO])
def test_keeps_batch_and_grid(n_dims, network):
    y = small(n_dims, network)(torch.randn(5, 3, *GRID[:n_dims]))
    assert y.shape == (5, 2, *GRID[:n_dims])


@pytest.mark.parametrize("n_dims", [1, 2, 3])
def test_periodic_axes_are_shift_equivariant(n_dims):
    network = small(n_dims, positional_embedding=None).double()
    x = torch.randn(2, 3, *GRID[:n_dims], dtype=torch.float64)
    dims, shifts = tuple(range(2, n_dims + 2)), (5, 3, 2)[:n_dims]
    torch.testing.assert_close(network(x.roll(shifts, dims)), network(x).roll(shifts, dims), rtol=0, atol=1e-12)


@pytest.mark.parametrize("local", ["differential", "convolution"])
@pytest.mark.parametrize("n_dims", [1, 2, 3])
def test_a_local_branch_reaches_beyond_the_modes(n_dims, local):
    """Waves that the spectral convolution leaves out have no effect on it but through the points themselves."""
    torch.manual_seed(0)
    x = torch.cos(2 * torch.pi * 5 * torch.arange(GRID[0]) / GRID[0]).view(1, 1, -1, *(1,) * (n_dims - 1))
    x = x.expand(1, 3, *GRID[:n_dims]).contiguous()
    block = small(n_dims, local=local).blocks[0]
    wave, axes = x[:, :1].movedim(1, -1).expand(1, *GRID[:n_dims], 8), tuple(range(1, n_dims + 1))
    assert block.conv(wave).var(dim=axes).max() < 1e-10
    assert block.local(wave).var(dim=axes).max() > 1e-4


def test_the_local_branch_ends_where_the_bases_do():
    network = small(2, bases=("fourier", "cosine"), local="differential")
    assert network.blocks[0].local.periodic == (True, False)
    assert small(2, local="differential", periodic=[False, True]).blocks[0].local.periodic == (False, True)


def test_converges_as_the_grid_is_refined():
    """One operator on every grid: aliasing of the pointwise GELU is all that differs, and it falls with the spacing."""
    torch.manual_seed(0)
    network = small(2, bases=("fourier", "cosine"), positional_embedding=None).double()

    def output(refinement):
        n_x, n_y = 12 * refinement, 9 * refinement
        x = 2 * torch.pi * torch.arange(n_x, dtype=torch.float64) / n_x
        y = torch.pi * (torch.arange(n_y, dtype=torch.float64) + 0.5) / n_y
        x, y = torch.meshgrid(x, y, indexing="ij")
        waves = [x.sin() * y.cos(), x.cos() * (2 * y).cos(), x.sin()]
        return network(10 * torch.stack(waves)[None])[..., ::refinement, refinement // 2 :: refinement]

    finest = output(27)
    errors = [relative_error(output(refinement), finest) for refinement in (1, 3, 9)]
    assert errors[0] > 1e-4
    assert errors[1] < 1e-5
    assert errors[2] < 1e-12


def test_bases_reach_the_layers():
    conv = small(2, bases=("fourier", "cosine")).blocks[0].conv
    assert [type(basis).__name__ for basis in conv.transform.bases] == ["HalfFourierBasis", "HalfWaveBasis"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("network", [FNO, TFNO, FFNO])
def test_runs_in_other_precisions(dtype, network):
    torch.manual_seed(0)
    network = small(2, network)
    x = torch.randn(2, 3, 16, 12)
    expected = network(x)
    converted = copy.deepcopy(network).to(dtype)
    y = converted(x.to(dtype))
    assert y.dtype == dtype
    assert relative_error(y.float(), expected) < {torch.float64: 1e-6}.get(dtype, 0.03)
    y.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == dtype and p.grad.isfinite().all() for p in converted.parameters())


@pytest.mark.parametrize("factorization", [None, "tucker", "cp", "tt"])
def test_autocast_runs_in_bfloat16(factorization):
    torch.manual_seed(0)
    network = small(2, factorization=factorization)
    x = torch.randn(2, 3, 16, 12)
    with torch.autocast("cpu", torch.bfloat16):
        y = network(x)
    assert y.dtype == torch.bfloat16
    assert relative_error(y.float(), network(x)) < 0.02
    y.float().square().sum().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("factorization", [None, "tucker", "cp", "tt"])
def test_checkpoint_holds_real_tensors_only(factorization, tmp_path):
    network = small(2, factorization=factorization, norm="group_norm")
    state = network.state_dict()
    assert all(tensor.dtype == torch.float32 for tensor in state.values())
    network(torch.randn(1, 3, 9, 11))
    assert network.state_dict().keys() == state.keys()
    assert dict(network.named_buffers()) == {}
    torch.save(state, tmp_path / "weights.pt")
    twin = small(2, factorization=factorization, norm="group_norm")
    twin.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    x = torch.randn(1, 3, 8, 8)
    assert torch.equal(network(x), twin(x))


def test_trains_after_a_forward_pass_in_inference_mode():
    network, x = small(2), torch.randn(2, 3, 23, 29)
    with torch.inference_mode():
        network(x)
    network(x).square().sum().backward()
    assert network.lifting.layers[0].weight.grad is not None


@pytest.mark.parametrize(
    ("shape", "found"), [((2, 3, 8), "(2, 3, 8)"), ((2, 4, 8, 8), "(2, 4, 8, 8)"), ((3, 8, 8), "(3, 8, 8)")]
)
def test_refuses_inputs_of_another_shape(shape, found):
    with pytest.raises(ValueError, match=r"expected an input of shape \(batch, 3, n_1, n_2\)") as error:
        small(2)(torch.zeros(shape))
    assert found in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"domain_padding": (0.1,)}, "domain_padding"),
        ({"bases": ("fourier",)}, "one basis for each"),
    ],
)
def test_refuses_settings_that_do_not_fit_the_axes(settings, message):
    with pytest.raises(ValueError, match=message):
        small(2, **settings)


def test_refuses_to_have_no_channels():
    with pytest.raises(ValueError, match="hidden_channels is 0, expected at least 1"):
        FNO((4, 4), 3, 2, hidden_channels=0)


def test_domain_padding_is_invisible_outside():
    network = small(2, domain_padding=(0.0, 0.25))
    assert network(torch.randn(2, 3, 8, 12)).shape == (2, 2, 8, 12)


def test_tfno_takes_the_arguments_of_fno():
    fno, tfno = inspect.signature(FNO).parameters, inspect.signature(TFNO).parameters
    assert set(fno) == set(tfno)
    assert list(fno)[:5] == list(tfno)[:5]
    differing = {name for name in fno if fno[name].default != tfno[name].default}
    assert differing == {"factorization", "rank"}


def test_low_rank_has_a_tenth_of_the_spectral_parameters():
    def spectral(network):
        return sum(p.numel() for name, p in network.named_parameters() if ".conv.weight" in name)

    dense, low_rank = FNO((16, 16), 1, 1, 32), TFNO((16, 16), 1, 1, 32)
    assert spectral(low_rank) == pytest.approx(0.1 * spectral(dense), rel=0.1)
