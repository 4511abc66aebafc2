import torch

from fno_lightning.modules.normalization import ZScore


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
