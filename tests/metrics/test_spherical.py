import pytest
import torch
from scipy.special import sph_harm_y

from fno_lightning.metrics import SphericalVRMSE, spherical_vrmse
from fno_lightning.sphere import colatitudes


@pytest.mark.parametrize("kind", ["equiangular", "equiangular_poles", "gauss_legendre"])
def test_harmonics_have_their_norms_on_every_grid(kind):
    longitude = torch.arange(20, dtype=torch.float64) * (2 * torch.pi / 20)
    angle = colatitudes(kind, 12)[:, None]
    target = 7 + torch.from_numpy(sph_harm_y(3, 2, angle.numpy(), longitude.numpy()).real)  # norm 1/2 beside the mean
    error = 0.6 * torch.from_numpy(sph_harm_y(4, 0, angle.numpy(), 0 * longitude.numpy()).real)  # norm 0.6
    expected = torch.tensor(0.6 * 2**0.5, dtype=torch.float64)
    torch.testing.assert_close(spherical_vrmse(target + error, target, kind), expected, rtol=1e-5, atol=0)
    metric = SphericalVRMSE(2, latitudes=kind)
    metric.update((target + error)[None, None, None], target[None, None, None])
    torch.testing.assert_close(metric.compute(), expected.view(1, 1), rtol=1e-5, atol=0)


def test_a_sphere_has_two_dimensions():
    with pytest.raises(ValueError, match="3 dimensions"):
        SphericalVRMSE(3)
