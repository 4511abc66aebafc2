"""Mean absolute error."""

from jaxtyping import Float
from torch import Tensor

from fno_lightning.metrics.base import FieldMetric


def mae(prediction: Float[Tensor, "..."], target: Float[Tensor, "..."], n_dims: int) -> Float[Tensor, "..."]:
    r"""Mean absolute error over the grid, in the units of the field.

    .. math:: \langle |p - t| \rangle

    Args:
        prediction: Fields ``(..., *grid)``.
        target: Fields of the same shape.
        n_dims: Number of grid axes, which come last.

    Returns:
        The error of each field, ``(...)``.
    """
    return (prediction - target).abs().mean(dim=tuple(range(-n_dims, 0)))


class MAE(FieldMetric):
    """Mean over samples of :func:`mae`.

    Args:
        n_dims: Number of spatial dimensions.
    """

    def evaluate(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, "batch time field"]:
        """Returns the error of each sample, at each lead time, in each field."""
        return mae(prediction, target, self.n_dims)
