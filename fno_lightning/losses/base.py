"""What every loss shares."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn


class Loss(nn.Module, ABC):
    """Compares a prediction with a target: ``(batch, time, field, *grid)`` twice in, a scalar out."""

    @abstractmethod
    def forward(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, ""]:
        """Returns the loss, to be minimised; it does not grow with the number of samples, steps, fields or points."""
