"""Correlation of prediction and target."""

from jaxtyping import Float
from torch import Tensor

from fno_lightning.metrics.base import EPSILON, FieldMetric


def pearson(prediction: Float[Tensor, "..."], target: Float[Tensor, "..."], n_dims: int) -> Float[Tensor, "..."]:
    r"""Pearson correlation over the grid: 1 for a prediction that is right up to scale and offset.

    .. math:: \frac{\langle (p - \bar p)(t - \bar t) \rangle}{\mathrm{std}(p)\, \mathrm{std}(t) + 10^{-7}}

    with unbiased standard deviations, as in The Well; so a perfect prediction on N points scores 1 - 1/N.

    Args:
        prediction: Fields ``(..., *grid)``.
        target: Fields of the same shape.
        n_dims: Number of grid axes, which come last.

    Returns:
        The correlation of each field, ``(...)``.
    """
    grid = tuple(range(-n_dims, 0))
    centred = (prediction - prediction.mean(dim=grid, keepdim=True), target - target.mean(dim=grid, keepdim=True))
    covariance = (centred[0] * centred[1]).mean(dim=grid)
    correlation = covariance / (prediction.std(dim=grid) * target.std(dim=grid) + EPSILON)
    return correlation.clamp(-1, 1)  # round-off alone leaves the range, where a field is large and constant


class Pearson(FieldMetric):
    """Mean over samples of :func:`pearson`.

    Args:
        n_dims: Number of spatial dimensions.
    """

    higher_is_better = True

    def evaluate(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, "batch time field"]:
        """Returns the correlation of each sample, at each lead time, in each field."""
        return pearson(prediction, target, self.n_dims)
