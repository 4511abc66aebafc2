"""Relative error in the L2 norm."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.losses.base import FieldLoss, Units, units_of_ratio
from fno_lightning.weighted_means import norm_factors, vector_norm


class RelativeL2(FieldLoss):
    r"""Error in the L2 norm over the grid, relative to the target's, mean over samples, time and fields.

    .. math:: \left\langle \frac{\lVert p - t \rVert_2}{\lVert t \rVert_2 + \varepsilon} \right\rangle

    Every sample and field weighs the same, however large its values are. Norms are accumulated in float32 or better.

    Args:
        epsilon: ε; keeps the loss finite where the target vanishes. In units of the spread of each field over the train
            split.
        units: Compare ``normalized`` fields, whose norm is that of the deviation from the mean over the train split, or
            ``physical`` ones, as most published set-ups do.
        weights: Weight of each field, by its name, see :class:`~fno_lightning.losses.FieldLoss`.

    Reference: Li et al. 2021, arXiv:2010.08895, section 5.
    """

    def __init__(
        self, epsilon: float = 1e-8, units: Units = "normalized", weights: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(weights)
        self.epsilon = epsilon
        self.units = units_of_ratio(units)

    @property
    def weighs_points(self) -> bool:
        """Whether it respects the weights of points; see :class:`~fno_lightning.losses.Loss`."""
        return True

    def errors(
        self,
        prediction: Float[Tensor, "batch time field *grid"],
        target: Float[Tensor, "batch time field *grid"],
        weight: Float[Tensor, "batch *grid"] | None = None,
    ) -> Float[Tensor, "batch time field"]:
        """Return the relative errors."""
        return _norm(prediction - target, weight) / (_norm(target, weight) + self.epsilon)


def _norm(fields: Tensor, weight: Tensor | None) -> Tensor:
    """Norm over the grid; its sum of squares would overflow in float16."""
    if weight is not None:
        dtype = torch.promote_types(fields.dtype, torch.float32)
        fields = fields * norm_factors(weight[:, None, None], range(3, fields.ndim), p=2).to(dtype)
    return vector_norm(fields, 2, range(3, fields.ndim))
