"""Mean square error."""

from jaxtyping import Float
from torch import Tensor

from fno_lightning.losses.base import FieldLoss, mean_square


class MSE(FieldLoss):
    r"""Mean square error over samples, time, fields and grid: :math:`\langle (p - t)^2 \rangle`.

    Args:
        weights: Weight of each field, by its name, see :class:`~fno_lightning.losses.FieldLoss`.
    """

    def errors(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, "batch time field"]:
        """Return the mean square error over the grid."""
        return mean_square(prediction - target)

    def forward(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, ""]:
        """Return the mean square error."""
        self.require_same_shape(prediction, target)
        return super().forward(prediction, target) if self.is_weighted else (prediction - target).square().mean()
