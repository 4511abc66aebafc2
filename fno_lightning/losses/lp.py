"""Errors in the norms of the spaces Lᵖ."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.losses.base import FieldLoss, Reduction, Units, by_point, units_of_ratio
from fno_lightning.weighted_means import count, norm_factors, point_count, vector_norm


class Lp(FieldLoss):
    r"""Error in the Lᵖ norm over the grid, relative to the target's or absolute, of each sample, time and field.

    .. math:: \frac{\lVert e \rVert_p}{\lVert t \rVert_p + \varepsilon} \quad \text{or} \quad
              \Big(\tfrac1N \sum_i |e_i|^p\Big)^{1/p}, \qquad e = \text{prediction} - t

    The absolute norm is that of a domain of measure 1. Norms are accumulated in float32 or better; the gradient of a
    perfect prediction is 0. With ``reduction: sum`` it is the ``LpLoss`` of neuralop, of which the trainer there takes
    the sum over a batch and over channels.

    Args:
        p: p, at least 1; infinity is the largest error.
        relative: Whether the error is relative.
        epsilon: ε; keeps the relative error finite where the target vanishes.
        units: Compare ``normalized`` or ``physical`` fields, see :class:`~fno_lightning.losses.RelativeL2`.
        reduction: See :class:`~fno_lightning.losses.FieldLoss`.
        weights: Weight of each field, by its name, see :class:`~fno_lightning.losses.FieldLoss`.

    Raises:
        ValueError: if ``p`` is below 1 or ``epsilon`` negative.

    Reference: Kovachki et al. 2021, arXiv:2108.08481, section 5.
    """

    def __init__(
        self,
        p: float = 2.0,
        relative: bool = True,
        epsilon: float = 1e-8,
        units: Units = "normalized",
        reduction: Reduction = "mean",
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(weights, reduction=reduction)
        if not p >= 1 or epsilon < 0:
            raise ValueError(f"a norm has p of at least 1 and an epsilon of at least 0, got p={p}, epsilon={epsilon}")
        self.p = p
        self.relative = relative
        self.epsilon = epsilon
        of_ratio = units_of_ratio(units)
        self.units = of_ratio if relative or units == "normalized" else "physical"

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
        """Return the errors in the norm."""
        by = by_point(weight)
        error = self._norm(prediction - target, by)
        if self.relative:
            return error / (self._norm(target, by) + self.epsilon)
        n_points = point_count(prediction.shape[3:]) if by is None else count(by, (3,))[..., 0]
        absolute: Tensor = error / n_points ** (1 / self.p)
        return absolute

    def _norm(self, fields: Tensor, weight: Tensor | None) -> Tensor:
        points = fields.flatten(3)
        if weight is not None:
            dtype = torch.promote_types(fields.dtype, torch.float32)
            points = points * norm_factors(weight, (3,), self.p).to(dtype)
        return vector_norm(points, self.p, (3,))
