"""Root mean square error scaled by the spread of the target."""

from jaxtyping import Float
from torch import Tensor

from fno_lightning.metrics.base import EPSILON, FieldMetric


def vrmse(prediction: Float[Tensor, "..."], target: Float[Tensor, "..."], n_dims: int) -> Float[Tensor, "..."]:
    r"""Variance-scaled root mean square error over the grid; predicting the spatial mean scores about 1.

    .. math:: \sqrt{\frac{\langle (p - t)^2 \rangle}{\mathrm{std}(t)^2 + 10^{-7}}}

    with the unbiased standard deviation over the grid.

    Args:
        prediction: Fields ``(..., *grid)``.
        target: Fields of the same shape.
        n_dims: Number of grid axes, which come last.

    Returns:
        The error of each field, ``(...)``.

    Reference: Ohana et al. 2024, The Well, arXiv:2412.00568, section 4.
    """
    grid = tuple(range(-n_dims, 0))
    error = (prediction - target).square().mean(dim=grid)
    return (error / (target.std(dim=grid).square() + EPSILON)).sqrt()


class VRMSE(FieldMetric):
    """Mean over samples of :func:`vrmse`.

    Args:
        n_dims: Number of spatial dimensions.
    """

    def evaluate(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, "batch time field"]:
        """Returns the error of each sample, at each lead time, in each field."""
        return vrmse(prediction, target, self.n_dims)
