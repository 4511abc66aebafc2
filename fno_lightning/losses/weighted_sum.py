"""Sum of losses."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.arguments import require_list
from fno_lightning.losses.base import Loss


class WeightedSum(Loss):
    r"""Sum of losses, each times a factor: :math:`\sum_i w_i \, \mathrm{loss}_i`.

    Args:
        losses: The losses; all compare fields in the same units.
        factors: :math:`w_i`; ``None``: all are 1.

    Raises:
        ValueError: if there are no losses, not as many factors as losses, a factor is negative or infinite, or one loss
            compares normalised fields and another physical ones.
    """

    def __init__(self, losses: Sequence[Loss], factors: Sequence[float] | None = None) -> None:
        super().__init__()
        require_list(losses=losses)
        self.losses = nn.ModuleList(losses)
        self.factors = [1.0] * len(losses) if factors is None else [float(factor) for factor in factors]
        if not losses or len(self.factors) != len(losses):
            raise ValueError(f"a sum needs losses and a factor for each, got {len(losses)} and {len(self.factors)}")
        if wrong := [factor for factor in self.factors if not 0 <= factor < float("inf")]:
            raise ValueError(f"factors of losses are numbers of at least 0, got {wrong}")
        self.units = losses[0].units
        if any(loss.units != self.units for loss in losses):
            units = ", ".join(f"{loss.units} ({type(loss).__name__})" for loss in losses)
            raise ValueError(f"losses of one sum compare fields in the same units, got {units}")

    def bind(self, fields: Sequence[str], periodic: Sequence[bool]) -> None:
        """Hand the names and the axes on to every loss; see :meth:`Loss.bind`."""
        for loss in self.losses:
            assert isinstance(loss, Loss)
            loss.bind(fields, periodic)

    def leave_out(self, varies: Sequence[bool]) -> None:
        """Let every loss leave out fields; see :meth:`Loss.leave_out`."""
        for loss in self.losses:
            assert isinstance(loss, Loss)
            loss.leave_out(varies)

    def forward(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, ""]:
        """Return the sum."""
        total = prediction.new_zeros(())
        for factor, loss in zip(self.factors, self.losses, strict=True):
            total = total + factor * loss(prediction, target)
        return total
