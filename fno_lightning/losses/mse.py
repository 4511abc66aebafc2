"""Mean square error."""

from jaxtyping import Float
from torch import Tensor

from fno_lightning.losses.base import FieldLoss, mean_square
from fno_lightning.slabs import active_slabs


class MSE(FieldLoss):
    r"""Mean square error over samples, time, fields and grid: :math:`\langle (p - t)^2 \rangle`.

    Args:
        weights: Weight of each field, by its name, see :class:`~fno_lightning.losses.FieldLoss`.
    """

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
        """Return the mean square error over the grid."""
        return mean_square(prediction - target, weight)

    def forward(
        self,
        prediction: Float[Tensor, "batch time field *grid"],
        target: Float[Tensor, "batch time field *grid"],
        weight: Float[Tensor, "batch *grid"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean square error."""
        self.require_same_shape(prediction, target)
        if self.is_weighted or weight is not None or active_slabs() is not None:
            return super().forward(prediction, target, weight)
        return (prediction - target).square().mean()
