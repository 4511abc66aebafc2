"""Mean square error."""

from jaxtyping import Float
from torch import Tensor

from fno_lightning.losses.base import Loss


class MSE(Loss):
    r"""Mean square error over samples, time, fields and grid: :math:`\langle (p - t)^2 \rangle`."""

    def forward(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, ""]:
        """Return the mean square error."""
        return (prediction - target).square().mean()
