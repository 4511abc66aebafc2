"""Relative error in a Sobolev norm, by Fourier coefficients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from fno_lightning.losses.base import Units, require_floor, units_of_ratio
from fno_lightning.losses.fourier import FourierLoss


class Sobolev(FourierLoss):
    r"""Error in the norm of the Sobolev space :math:`H^s`, relative to the target's, of each sample, time and field.

    .. math:: \lVert u \rVert_s^2 = \sum_k (1 + |k|^2)^s\, |\hat u_k|^2

    with k the number of waves along each axis of the grid, and the Fourier coefficients of the field, continued evenly
    at the ends of axes that are not periodic (half-integer k there). s = 0 is the relative L2 error; s = 1 that of
    values and derivatives on a domain of length 2π; s > 0 weighs small scales more, of which fields without rough data
    have little, s < 0 large ones. The norm of a resolved field does not depend on the grid.

    Args:
        order: s.
        epsilon: Added to the norm of the target; keeps the loss finite where it vanishes. In units of the spread of
            each field over the train split.
        periodic: Whether each axis is periodic; ``None``: as in the data, and all without a module.
        units: Compare ``normalized`` or ``physical`` fields, see :class:`~fno_lightning.losses.RelativeL2`.
        weights: Weight of each field, by its name, see :class:`~fno_lightning.losses.FieldLoss`.

    Raises:
        ValueError: if ``epsilon`` is below 1e-9; in a module or in the forward pass, if ``periodic`` has not one entry
            an axis.

    Reference: Li et al. 2022, arXiv:2106.06898, section 3 (Sobolev losses for neural operators).
    """

    def __init__(
        self,
        order: float = 1.0,
        epsilon: float = 1e-3,
        periodic: Sequence[bool] | None = None,
        units: Units = "normalized",
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(periodic, weights)
        self.order = order
        self.epsilon = require_floor("epsilon", epsilon)
        self.units = units_of_ratio(units)

    def errors(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, "batch time field"]:
        """Return the relative errors."""
        return self._norm(prediction - target) / (self._norm(target) + self.epsilon)

    def _norm(self, fields: Tensor) -> Tensor:
        grid = fields.shape[3:]
        n_waves = self.lengths(grid, [1 / n for n in grid], fields.device) / (2 * math.pi)
        power = self.power(fields)
        weighted = power * ((1 + n_waves.square()) ** self.order).to(power)
        # the gradient of a root is infinite at 0
        smallest = self.epsilon**2
        return (weighted.flatten(3).sum(dim=3) + smallest * smallest).sqrt() - smallest
