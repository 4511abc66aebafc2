"""Errors point by point, averaged over the grid."""

from jaxtyping import Float
from torch import Tensor

from fno_lightning.metrics.base import EPSILON, FieldMetric


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


def rmse(prediction: Float[Tensor, "..."], target: Float[Tensor, "..."], n_dims: int) -> Float[Tensor, "..."]:
    r"""Root mean square error over the grid, in the units of the field.

    .. math:: \sqrt{\langle (p - t)^2 \rangle}

    Args:
        prediction: Fields ``(..., *grid)``.
        target: Fields of the same shape.
        n_dims: Number of grid axes, which come last.

    Returns:
        The error of each field, ``(...)``.
    """
    return (prediction - target).square().mean(dim=tuple(range(-n_dims, 0))).sqrt()


class RMSE(FieldMetric):
    """Mean over samples of :func:`rmse`.

    Args:
        n_dims: Number of spatial dimensions.
    """

    def evaluate(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, "batch time field"]:
        """Returns the error of each sample, at each lead time, in each field."""
        return rmse(prediction, target, self.n_dims)


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
