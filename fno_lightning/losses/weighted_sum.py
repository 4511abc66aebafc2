"""Sum of losses with fixed weights."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from fno_lightning.losses.loss_sum import LossSum


class WeightedSum(LossSum):
    r"""Sum of losses, each times a factor: :math:`\sum_i w_i \, \mathrm{loss}_i`.

    Args:
        losses: The losses, in a list or by name, each with its own units.
        factors: :math:`w_i`, in a list or by name; ``None``, and those that are not named: 1.

    Raises:
        ValueError: if there are no losses, not as many factors as losses, or a factor has the name of none or is
            negative or infinite; without a module, if the losses compare fields in different units.
    """

    def weigh(self, terms: Sequence[Float[Tensor, ""]]) -> Float[Tensor, " term"]:
        """Return the factors."""
        return self._factor_on(terms[0].device)
