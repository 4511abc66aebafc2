r"""Errors point by point, averaged over the grid: a function for each, and a class for its mean over samples.

Every function compares a prediction :math:`p` with a target :math:`t`, both ``(..., *grid)`` with ``n_dims`` grid axes,
and returns one value for each field, ``(...)``. :math:`\langle \cdot \rangle` is the mean over the grid, with a
``weight`` of the points that is broadcast against the fields the weighted mean.
"""

from jaxtyping import Float
from torch import Tensor

from fno_lightning.metrics.base import EPSILON, FieldMetric
from fno_lightning.weighted_means import largest, weighted_mean, weighted_variance


def mae(
    prediction: Float[Tensor, "..."], target: Float[Tensor, "..."], n_dims: int, weight: Tensor | None = None
) -> Float[Tensor, "..."]:
    r"""Mean absolute error over the grid, in the units of the field.

    .. math:: \langle |p - t| \rangle

    >>> from torch import tensor
    >>> mae(tensor([1.0, 2.0, 3.0]), tensor([1.0, 4.0, 4.0]), n_dims=1)
    tensor(1.)
    """
    return weighted_mean((prediction - target).abs(), _grid(n_dims), weight)


def rmse(
    prediction: Float[Tensor, "..."], target: Float[Tensor, "..."], n_dims: int, weight: Tensor | None = None
) -> Float[Tensor, "..."]:
    r"""Root mean square error over the grid, in the units of the field.

    .. math:: \sqrt{\langle (p - t)^2 \rangle}

    >>> from torch import tensor
    >>> rmse(tensor([1.0, 2.0, 3.0, 4.0]), tensor([1.0, 6.0, 3.0, 4.0]), n_dims=1)
    tensor(2.)
    """
    return weighted_mean((prediction - target).square(), _grid(n_dims), weight).sqrt()


def nrmse(
    prediction: Float[Tensor, "..."], target: Float[Tensor, "..."], n_dims: int, weight: Tensor | None = None
) -> Float[Tensor, "..."]:
    r"""Root mean square error over the grid, relative to the root mean square of the target.

    .. math:: \sqrt{\frac{\langle (p - t)^2 \rangle}{\langle t^2 \rangle + 10^{-7}}}

    A prediction of zeros scores 1, and one of twice the target too:

    >>> from torch import tensor
    >>> target = tensor([[3.0, -4.0, 5.0], [0.0, 1.0, 2.0]])
    >>> nrmse(0 * target, target, n_dims=1).round(decimals=3)
    tensor([1., 1.])
    """
    error = weighted_mean((prediction - target).square(), _grid(n_dims), weight)
    return (error / (weighted_mean(target.square(), _grid(n_dims), weight) + EPSILON)).sqrt()


def vrmse(
    prediction: Float[Tensor, "..."], target: Float[Tensor, "..."], n_dims: int, weight: Tensor | None = None
) -> Float[Tensor, "..."]:
    r"""Variance-scaled root mean square error over the grid.

    .. math:: \sqrt{\frac{\langle (p - t)^2 \rangle}{\mathrm{std}(t)^2 + 10^{-7}}}

    with the unbiased standard deviation over the grid. The spatial mean as a prediction scores about 1, on N points
    :math:`\sqrt{1 - 1/N}`:

    >>> from torch import tensor
    >>> target = tensor([3.0, -4.0, 5.0, 0.0])
    >>> vrmse(target.mean().expand(4), target, n_dims=1)
    tensor(0.8660)

    Reference: Ohana et al. 2024, The Well, arXiv:2412.00568, section 4.
    """
    error = weighted_mean((prediction - target).square(), _grid(n_dims), weight)
    return (error / (weighted_variance(target, _grid(n_dims), weight) + EPSILON)).sqrt()


def l_infinity(
    prediction: Float[Tensor, "..."], target: Float[Tensor, "..."], n_dims: int, weight: Tensor | None = None
) -> Float[Tensor, "..."]:
    r"""Largest absolute error on the grid, in the units of the field.

    .. math:: \max |p - t|

    >>> from torch import tensor
    >>> l_infinity(tensor([1.0, 2.0, 3.0]), tensor([1.0, 4.0, 2.0]), n_dims=1)
    tensor(2.)
    """
    return largest((prediction - target).abs(), _grid(n_dims), weight)


def pearson(
    prediction: Float[Tensor, "..."], target: Float[Tensor, "..."], n_dims: int, weight: Tensor | None = None
) -> Float[Tensor, "..."]:
    r"""Pearson correlation over the grid; 1 for a prediction that is right up to scale and offset.

    .. math:: \frac{\langle (p - \bar p)(t - \bar t) \rangle}{\mathrm{std}(p)\, \mathrm{std}(t) + 10^{-7}}

    with unbiased standard deviations, as in The Well. A perfect prediction on N points therefore scores 1 - 1/N:

    >>> from torch import tensor
    >>> target = tensor([3.0, -4.0, 5.0, 0.0])
    >>> pearson(2 * target + 1, target, n_dims=1)
    tensor(0.7500)
    """
    grid = _grid(n_dims)
    centred = [part - weighted_mean(part, grid, weight, keepdim=True) for part in (prediction, target)]
    covariance = weighted_mean(centred[0] * centred[1], grid, weight)
    deviations = (weighted_variance(part, grid, weight).sqrt() for part in (prediction, target))
    correlation = covariance / (next(deviations) * next(deviations) + EPSILON)
    return correlation.clamp(-1, 1)  # round-off alone leaves the range, where a field is large and constant


def _grid(n_dims: int) -> tuple[int, ...]:
    """Return the grid axes, which come last."""
    return tuple(range(-n_dims, 0))


class MAE(FieldMetric):
    """Mean over samples of :func:`mae`."""

    function = staticmethod(mae)
    weighs_points = True
    degree = 1


class RMSE(FieldMetric):
    """Mean over samples of :func:`rmse`."""

    function = staticmethod(rmse)
    weighs_points = True
    degree = 1


class NRMSE(FieldMetric):
    """Mean over samples of :func:`nrmse`."""

    function = staticmethod(nrmse)
    weighs_points = True


class VRMSE(FieldMetric):
    """Mean over samples of :func:`vrmse`."""

    function = staticmethod(vrmse)
    weighs_points = True


class LInfinity(FieldMetric):
    """Mean over samples of :func:`l_infinity`."""

    function = staticmethod(l_infinity)
    weighs_points = True
    degree = 1


class Pearson(FieldMetric):
    """Mean over samples of :func:`pearson`."""

    function = staticmethod(pearson)
    weighs_points = True
    higher_is_better = True
