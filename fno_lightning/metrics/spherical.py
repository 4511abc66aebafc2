"""Errors on the sphere, weighted by area."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from fno_lightning.metrics.base import EPSILON, FieldMetric
from fno_lightning.sphere import LatitudeName, area_weights


def spherical_vrmse(
    prediction: Float[Tensor, "*field latitude longitude"],
    target: Float[Tensor, "*field latitude longitude"],
    latitudes: LatitudeName,
) -> Float[Tensor, "*field"]:
    r"""Variance-scaled root mean square error over the area of a sphere.

    .. math:: \sqrt{\frac{\langle (p - t)^2 \rangle}{\langle (t - \langle t \rangle)^2 \rangle + 10^{-7}}}

    with the mean :math:`\langle \cdot \rangle` over the area, by quadrature
    (:func:`~fno_lightning.sphere.area_weights`). :func:`~fno_lightning.metrics.vrmse`, The Well's error, weighs all
    points alike, so that it looks mostly at the poles, where they are dense.

    >>> import torch
    >>> target = torch.tensor([3.0, -4.0, 5.0, 0.0])[:, None].expand(4, 6)
    >>> spherical_vrmse(torch.zeros(4, 6), target + 0.5, "equiangular") > 1
    tensor(True)
    """
    weights = area_weights(latitudes, target.shape[-2]).to(target)[:, None] / target.shape[-1]

    def mean(field: Tensor) -> Tensor:
        return (field * weights).sum(dim=(-2, -1))

    deviation = target - mean(target)[..., None, None]
    return (mean((prediction - target).square()) / (mean(deviation.square()) + EPSILON)).sqrt()


class SphericalVRMSE(FieldMetric):
    """Mean over samples of :func:`spherical_vrmse`.

    Args:
        n_dims: Number of spatial dimensions, two.
        latitudes: Kind of the points along the first axis: ``equiangular``, ``equiangular_poles`` or
            ``gauss_legendre``; the second is the longitude.

    Raises:
        ValueError: if there are not two dimensions.
    """

    def __init__(self, n_dims: int = 2, latitudes: LatitudeName = "equiangular") -> None:
        super().__init__(n_dims)
        if n_dims != 2:
            raise ValueError(f"SphericalVRMSE is for latitude and longitude, but the data have {n_dims} dimensions")
        self.latitudes = latitudes

    def evaluate(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, "batch time field"]:
        """Return the error of each sample, at each lead time, in each field."""
        return spherical_vrmse(prediction, target, self.latitudes)
