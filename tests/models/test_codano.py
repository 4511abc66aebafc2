import pytest
import torch

from fno_lightning.models import CODANO


def network(**options):
    torch.manual_seed(0)
    options = {"n_fields": 3, "n_frames": 2, "n_constants": 2, "out_frames": 2} | options
    return CODANO((4, 4), hidden_channels=8, n_layers=2, **options).double()


def test_permuted_fields_give_permuted_outputs():
    operator = network()
    x = torch.randn(2, 8, 8, 10, dtype=torch.float64)
    expected = operator(x).reshape(2, 2, 3, 8, 10)
    order, constants = torch.tensor([2, 0, 1]), torch.tensor([1, 0])
    permuted = torch.cat([x[:, :6].reshape(2, 2, 3, 8, 10)[:, :, order].flatten(1, 2), x[:, 6:][:, constants]], dim=1)
    with torch.no_grad():
        operator.embedding.copy_(operator.embedding[torch.cat([order, 3 + constants])])
    found = operator(permuted).reshape(2, 2, 3, 8, 10)
    torch.testing.assert_close(found, expected[:, :, order], rtol=0, atol=1e-12)
    assert (found - expected).abs().max() > 1e-3


def test_every_input_acts_on_every_field():
    operator = network()
    x = torch.randn(1, 8, 8, 8, dtype=torch.float64, requires_grad=True)
    for field in range(3):
        (gradient,) = torch.autograd.grad(operator(x)[:, field].square().sum(), x)
        assert (gradient.abs().amax(dim=(0, 2, 3)) > 0).all()


def test_a_field_more_is_a_vector_more():
    small, large = (dict(network(n_fields=n).named_parameters()) for n in (2, 3))
    assert {name for name in small if small[name].shape != large[name].shape} == {"embedding"}


def test_a_steady_problem_has_no_frames():
    operator = network(n_frames=0, out_frames=1)
    x = torch.randn(1, 2, 8, 8, dtype=torch.float64)
    assert operator(x).shape == (1, 3, 8, 8)
    assert (operator(x) - operator(2 * x)).abs().max() > 1e-3


@pytest.mark.parametrize(("options", "message"), [({"n_fields": 0}, "must be positive"), ({"n_heads": 3}, "3 heads")])
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        network(**options)


def test_another_number_of_channels_is_refused():
    with pytest.raises(ValueError, match="frames of 3 fields, 2 constants"):
        network()(torch.zeros(1, 7, 8, 8, dtype=torch.float64))
