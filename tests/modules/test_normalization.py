import pytest
import torch

from fno_lightning.data import FieldSpec
from fno_lightning.modules import FNOModule
from fno_lightning.modules.normalization import Normalizer, ZScore


def test_encoded_samples_have_zero_mean_and_unit_spread():
    fields = torch.randn(1000, 2, 8) * torch.tensor([3.0, 0.01]).view(2, 1) + torch.tensor([100.0, -1.0]).view(2, 1)
    zscore = ZScore(2)
    zscore.fit(fields.mean(dim=(0, 2)), fields.std(dim=(0, 2)))
    encoded = zscore.encode(fields, n_dims=1)
    torch.testing.assert_close(encoded.mean(dim=(0, 2)), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(encoded.std(dim=(0, 2)), torch.ones(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(zscore.decode(encoded, n_dims=1), fields)


def test_a_constant_channel_is_shifted_but_not_blown_up():
    zscore = ZScore(1)
    zscore.fit(torch.tensor([5.0]), torch.tensor([0.0]))
    assert zscore.encode(torch.full((1, 1, 4), 5.0), n_dims=1).abs().max() == 0
    assert zscore.std.item() == 5
    assert zscore.varies.item() == 0


def test_a_small_physical_scale_is_still_normalised():
    zscore = ZScore(1)
    zscore.fit(torch.tensor([0.0]), torch.tensor([1e-9]))
    assert zscore.encode(torch.full((1, 1, 4), 1e-9), n_dims=1).mean() == 1


def test_statistics_travel_in_the_state_dict():
    saved = ZScore(2)
    saved.fit(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    loaded = ZScore(2)
    loaded.load_state_dict(saved.state_dict())
    assert torch.equal(loaded.mean, saved.mean)
    assert torch.equal(loaded.std, saved.std)


@pytest.mark.parametrize("cast", ["half", "bfloat16", "float", "double"])
def test_statistics_keep_their_precision_when_the_weights_change_theirs(cast):
    module = FNOModule(FieldSpec("air", ("pressure",), (16,)), [4], 4, 1, n_steps_input=1)
    module.normalizer.fields.fit(torch.tensor([101325.0]), torch.tensor([100.0]))
    getattr(module, cast)()
    assert {weight.dtype for weight in module.network.parameters()} == {getattr(torch, cast)}
    assert module.normalizer.fields.mean.dtype == torch.float64
    assert module.normalizer.fields.mean.item() == 101325


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_forecast_has_the_precision_of_the_data(dtype):
    module = FNOModule(FieldSpec("air", ("pressure",), (16,)), [4], 4, 1, n_steps_input=1)
    module.normalizer.fields.fit(torch.tensor([1e9], dtype=dtype), torch.tensor([100.0], dtype=dtype))
    history = 1e9 + 100 * torch.randn(2, 1, 1, 16, dtype=dtype)
    forecast = module.forecast(history)
    assert forecast.dtype == dtype
    if dtype == torch.float64:
        inside = module.network.train(False)(module.normalizer.encode(history)[:, 0].float()).detach()
        torch.testing.assert_close((forecast[:, 0] - 1e9) / 100, inside.double(), rtol=0, atol=1e-8)


def test_devices_without_float64_get_float32():
    def to_such_a_device(tensor):
        if tensor.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64")
        return tensor.clone()

    zscore = ZScore(1)
    zscore.fit(torch.tensor([2.0]), torch.tensor([3.0]))
    zscore._apply(to_such_a_device)
    assert zscore.mean.dtype == torch.float32
    assert zscore.mean.item() == 2


def test_fields_that_do_not_vary_are_predicted_exactly():
    spec = FieldSpec("flow", ("u", "p"), (16,))
    module = FNOModule(spec, [4], 4, 1, n_steps_input=1)
    module.normalizer.fields.fit(torch.tensor([0.0, 101325.0]), torch.tensor([1.0, 0.0]))
    forecast = module.forecast(torch.stack((torch.randn(2, 1, 16), torch.full((2, 1, 16), 101325.0)), dim=2), n_steps=3)
    assert (forecast[:, :, 1] == 101325).all()
    assert forecast[:, :, 0].std() > 0


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_a_change_that_never_varies_is_predicted_exactly(unit):
    spec = FieldSpec("medium", ("u", "depth"), (16,))
    module = FNOModule(spec, [4], 4, 1, n_steps_input=1, residual=True)
    module.normalizer.fields.fit(torch.tensor([0.0, 5.0 * unit]), torch.tensor([1.0, unit]))
    module.normalizer.increments.fit(torch.tensor([0.0, 0.5 * unit]), torch.tensor([0.1, 0.0]))
    depth = unit * (5 + torch.randn(2, 1, 16))
    forecast = module.forecast(torch.stack((torch.randn(2, 1, 16), depth), dim=2), n_steps=3)
    expected = depth + 0.5 * unit * torch.arange(1, 4).view(-1, 1)
    torch.testing.assert_close(forecast[:, :, 1], expected)


def test_means_over_fields_leave_out_those_that_do_not_vary():
    normalizer = Normalizer(FieldSpec("flow", ("u", "w"), (16,)))
    errors = torch.tensor([0.1, 48.0])
    normalizer.fields.fit(torch.zeros(2), torch.tensor([1.0, 0.0]))
    assert normalizer.mean_over_fields(errors) == errors[0]
    normalizer.fields.fit(torch.zeros(2), torch.zeros(2))
    assert normalizer.mean_over_fields(errors) == errors.mean()
