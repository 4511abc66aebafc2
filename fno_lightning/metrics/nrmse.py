"""Root mean square error scaled by the size of the target."""

from jaxtyping import Float
from torch import Tensor

from fno_lightning.metrics.base import EPSILON, FieldMetric


def nrmse(prediction: Float[Tensor, "..."], target: Float[Tensor, "..."], n_dims: int) -> Float[Tensor, "..."]:
    r"""Root mean square error over the grid, relative to the root mean square of the target.

    .. math:: \sqrt{\frac{\langle (p - t)^2 \rangle}{\langle t^2 \rangle + 10^{-7}}}

    Args:
        prediction: Fields ``(..., *grid)``.
        target: Fields of the same shape.
        n_dims: Number of grid axes, which come last.

    Returns:
        The error of each field, ``(...)``.
    """
    grid = tuple(range(-n_dims, 0))
    error = (prediction - target).square().mean(dim=grid)
    return (error / (target.square().mean(dim=grid) + EPSILON)).sqrt()


class NRMSE(FieldMetric):
    """Mean over samples of :func:`nrmse`.

    Args:
        n_dims: Number of spatial dimensions.
    """

    def evaluate(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, "batch time field"]:
        """Returns the error of each sample, at each lead time, in each field."""
        return nrmse(prediction, target, self.n_dims)
