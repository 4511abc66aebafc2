"""Largest error."""

from jaxtyping import Float
from torch import Tensor

from fno_lightning.metrics.base import FieldMetric


def l_infinity(prediction: Float[Tensor, "..."], target: Float[Tensor, "..."], n_dims: int) -> Float[Tensor, "..."]:
    r"""Largest absolute error on the grid, in the units of the field.

    .. math:: \max |p - t|

    Args:
        prediction: Fields ``(..., *grid)``.
        target: Fields of the same shape.
        n_dims: Number of grid axes, which come last.

    Returns:
        The error of each field, ``(...)``.
    """
    return (prediction - target).abs().amax(dim=tuple(range(-n_dims, 0)))


class LInfinity(FieldMetric):
    """Mean over samples of :func:`l_infinity`.

    Args:
        n_dims: Number of spatial dimensions.
    """

    def evaluate(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, "batch time field"]:
        """Returns the error of each sample, at each lead time, in each field."""
        return l_infinity(prediction, target, self.n_dims)
