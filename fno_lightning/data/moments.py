"""Mean and variance of more values than fit into memory."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


class Moments:
    """Mean and population variance of each component, accumulated chunk by chunk in float64.

    Chunks are merged with the update of Chan, Golub and LeVeque (1983), The American Statistician 37(3), eq. 2.1,
    which does not cancel as the difference of two sums of squares does.

    Args:
        n_components: Number of components.
    """

    def __init__(self, n_components: int) -> None:
        self.count = 0
        self.mean = torch.zeros(n_components, dtype=torch.float64)
        self._squares = torch.zeros(n_components, dtype=torch.float64)

    def update(self, values: Float[Tensor, "value component"]) -> None:
        """Adds a chunk of values."""
        values = values.double()
        count = len(values)
        if count == 0:
            return
        variance, mean = torch.var_mean(values, dim=0, correction=0)
        delta = mean - self.mean
        total = self.count + count
        self.mean = self.mean + delta * (count / total)
        self._squares = self._squares + variance * count + delta.square() * (self.count * count / total)
        self.count = total

    @property
    def std(self) -> Float[Tensor, " component"]:
        """Population standard deviation; zero before any value."""
        return (self._squares / max(self.count, 1)).sqrt()

    @property
    def rms(self) -> Float[Tensor, " component"]:
        """Root mean square."""
        return (self.mean.square() + self.std.square()).sqrt()
