"""Root mean square errors of each sample and field."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.losses.base import FieldLoss, by_point, mean_square, require_floor
from fno_lightning.weighted_means import point_count, weighted_mean, weighted_variance


class RMSE(FieldLoss):
    r"""Root mean square error over the grid, mean over samples, time and fields.

    .. math:: \left\langle \sqrt{\langle (p - t)^2 \rangle + \varepsilon^2} - \varepsilon \right\rangle

    A sample with a small error pulls as hard as one with a large error; in the mean square error it hardly counts.

    Args:
        epsilon: ε, in units of the spread of each field: errors below it count by their square, so that the gradient of
            a perfect prediction is 0.
        weights: Weight of each field, by its name, see :class:`~fno_lightning.losses.FieldLoss`.

    Raises:
        ValueError: if ``epsilon`` is below 1e-9.
    """

    def __init__(self, epsilon: float = 1e-3, weights: Mapping[str, float] | None = None) -> None:
        super().__init__(weights)
        self.epsilon = require_floor("epsilon", epsilon)

    @property
    def weighs_points(self) -> bool:
        """Whether it respects the weights of points; see :class:`~fno_lightning.losses.Loss`."""
        return True

    def errors(
        self,
        prediction: Float[Tensor, "batch time field *grid"],
        target: Float[Tensor, "batch time field *grid"],
        weight: Float[Tensor, " batch *grid"] | None = None,
    ) -> Float[Tensor, "batch time field"]:
        """Return the root mean square errors."""
        return (mean_square(prediction - target, weight) + self.epsilon**2).sqrt() - self.epsilon


class VRMSE(RMSE):
    r"""Root mean square error over the grid, in units of the target's own spatial deviation.

    .. math:: \left\langle \frac{\mathrm{RMSE}}{\sqrt{\mathrm{std}(t)^2 + s^2}} \right\rangle

    with :class:`RMSE` of each sample, time and field, and the unbiased standard deviation over the grid: the error that
    The Well is evaluated by. Where a target does not vary in space, as at the beginning of many simulations, its limit
    is RMSE / s.

    Args:
        smallest: s, the smallest spatial deviation that counts, in units of the spread of each field.
        epsilon: See :class:`RMSE`.
        weights: Weight of each field, by its name, see :class:`~fno_lightning.losses.FieldLoss`.

    Raises:
        ValueError: if ``smallest`` or ``epsilon`` is below 1e-9.

    Reference: Ohana et al. 2024, The Well, arXiv:2412.00568, section 4.
    """

    def __init__(
        self, smallest: float = 1e-2, epsilon: float = 1e-3, weights: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(epsilon, weights)
        self.smallest = require_floor("smallest", smallest)

    def errors(
        self,
        prediction: Float[Tensor, "batch time field *grid"],
        target: Float[Tensor, "batch time field *grid"],
        weight: Float[Tensor, " batch *grid"] | None = None,
    ) -> Float[Tensor, "batch time field"]:
        """Return the errors in units of the targets' deviations."""
        return super().errors(prediction, target, weight) / (spatial_variance(target, weight) + self.smallest**2).sqrt()


class MeanFluctuation(VRMSE):
    r"""Errors of the spatial mean and of the fluctuation around it, each by itself.

    .. math:: \mathrm{VRMSE}(p - \bar p, t - \bar t) + w\, \mathrm{VRMSE}(\bar p, \bar t)

    both in units of the target's spatial deviation. In :class:`VRMSE` the two add up under one root, so that the larger
    one hides the other: for a pressure, say, that rises everywhere at once.

    Args:
        mean_weight: w.
        smallest: See :class:`VRMSE`.
        epsilon: See :class:`RMSE`.
        weights: Weight of each field, by its name, see :class:`~fno_lightning.losses.FieldLoss`.

    Raises:
        ValueError: if ``mean_weight`` is negative, or ``smallest`` or ``epsilon`` below 1e-9.
    """

    def __init__(
        self,
        mean_weight: float = 1.0,
        smallest: float = 1e-2,
        epsilon: float = 1e-3,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(smallest, epsilon, weights)
        if not 0 <= mean_weight < float("inf"):
            raise ValueError(f"mean_weight is at least 0, got {mean_weight}")
        self.mean_weight = mean_weight

    def errors(
        self,
        prediction: Float[Tensor, "batch time field *grid"],
        target: Float[Tensor, "batch time field *grid"],
        weight: Float[Tensor, " batch *grid"] | None = None,
    ) -> Float[Tensor, "batch time field"]:
        """Return the sums of both errors."""
        error = prediction - target
        error = error.to(torch.promote_types(error.dtype, torch.float32)).flatten(3)
        by = by_point(weight)
        mean = weighted_mean(error, (3,), by)
        fluctuation = weighted_variance(error, (3,), by, correction=0)  # the difference of squares would cancel
        floor = self.epsilon**2
        parts = (fluctuation + floor).sqrt() + self.mean_weight * (mean.square() + floor).sqrt()
        parts = parts - (1 + self.mean_weight) * self.epsilon
        return parts / (spatial_variance(target, weight) + self.smallest**2).sqrt()


def spatial_variance(
    fields: Float[Tensor, "batch time field *grid"], weight: Float[Tensor, " batch *grid"] | None = None
) -> Float[Tensor, "batch time field"]:
    """Return the unbiased variance over the grid, 0 on a single point, in float32 or better."""
    points = fields.to(torch.promote_types(fields.dtype, torch.float32)).flatten(3)
    return weighted_variance(points, (3,), by_point(weight), correction=1 if point_count(points.shape[3:]) > 1 else 0)
