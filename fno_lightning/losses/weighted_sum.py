"""Sum of losses."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.arguments import require_list
from fno_lightning.field_spec import FieldSpec
from fno_lightning.losses.base import Comparison, Loss
from fno_lightning.pdes.equation import Equation


class WeightedSum(Loss):
    r"""Sum of losses, each times a factor: :math:`\sum_i w_i \, \mathrm{loss}_i`.

    Args:
        losses: The losses, each with its own units.
        factors: :math:`w_i`; ``None``: all are 1.

    Raises:
        ValueError: if there are no losses, not as many factors as losses, or a factor is negative or infinite; in the
            forward pass without a module, if the losses compare fields in different units.
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

    def bind(self, spec: FieldSpec) -> None:
        """Hand the description of the data on to every loss; see :meth:`Loss.bind`."""
        for loss in self.losses:
            assert isinstance(loss, Loss)
            loss.bind(spec)

    def take_equation(self, equation: Equation | None) -> None:
        """Hand the equation of the data on to every loss; see :meth:`Loss.take_equation`."""
        for loss in self.losses:
            assert isinstance(loss, Loss)
            loss.take_equation(equation)

    def leave_out(self, varies: Sequence[bool]) -> None:
        """Let every loss leave out fields; see :meth:`Loss.leave_out`."""
        for loss in self.losses:
            assert isinstance(loss, Loss)
            loss.leave_out(varies)

    def compare(self, comparison: Comparison) -> Float[Tensor, ""]:
        """Return the sum, each loss in its own units."""
        total = comparison.scalars.new_zeros(())
        for factor, loss in zip(self.factors, self.losses, strict=True):
            assert isinstance(loss, Loss)
            total = total + factor * loss.compare(comparison)
        return total

    def forward(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, ""]:
        """Return the sum."""
        units = {str(loss.units) for loss in self.losses}
        if len(units) > 1:
            raise ValueError(f"the losses of this sum compare fields in the units {sorted(units)}: use compare")
        total = prediction.new_zeros(())
        for factor, loss in zip(self.factors, self.losses, strict=True):
            total = total + factor * loss(prediction, target)
        return total
