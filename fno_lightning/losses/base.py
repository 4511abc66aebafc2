"""Base class of losses."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn


class Loss(nn.Module, ABC):
    """Scalar measure of the difference between prediction and target, both ``(batch, time, field, *grid)``."""

    @abstractmethod
    def forward(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, ""]:
        """Return the loss, a mean that does not grow with the number of samples, steps, fields or points."""
