"""Weights of losses by how fast they fall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fno_lightning.losses.balanced_sum import BalancedSum, require_positive
from fno_lightning.losses.base import Loss

Rate: TypeAlias = Literal["relative", "absolute"]


class SoftAdapt(BalancedSum):
    r"""Sum of losses in which those that fall more slowly than others weigh more.

    .. math:: \lambda_i(t) = n \, \mathrm{softmax}_i \left( \frac{s_i(t)}{T} \right), \qquad
              s_i(t) = \frac{\mathrm{loss}_i(t)}{\mathrm{loss}_i(t - 1)} \quad \text{or} \quad
              \mathrm{loss}_i(t) - \mathrm{loss}_i(t - 1)

    with n terms that take part, in each optimizer step; in the first one all weigh 1. The ratio (``relative``) does not
    depend on the sizes of the losses; it is the form in which Bischof and Kraus and neuralop have SoftAdapt. The
    difference (``absolute``) is the original one; its T has the unit of the losses, and is 1/β in the paper.

    Equal to neuralop's ``SoftAdapt`` with ``temperature`` 1 where losses are well above its ε of 1e-8. There all
    weights of the step after a loss was 0 are 0, ratios of losses near ε are wrong, processes that see other batches
    have other weights, and the weights that it returns are not those that it sums with.

    Args:
        losses: The losses, in a list or by name; they are at least 0.
        factors: Factor of each, see :class:`~fno_lightning.losses.BalancedSum`.
        temperature: T; the larger, the nearer to equal are the weights.
        rate: How fast a loss falls: ``relative`` or ``absolute``.

    Raises:
        ValueError: if ``temperature`` is not positive, or there is no ``rate`` of this name; see
            :class:`~fno_lightning.losses.BalancedSum`.

    Reference: Heydari et al. 2019, arXiv:1912.12355, section 3.1.1; Bischof and Kraus 2021, arXiv:2110.09813.
    """

    previous: Tensor

    def __init__(
        self,
        losses: Sequence[Loss] | Mapping[str, Loss],
        factors: Sequence[float] | Mapping[str, float] | None = None,
        temperature: float = 1.0,
        rate: Rate = "relative",
    ) -> None:
        require_positive(temperature=temperature)
        require_rate(rate)
        super().__init__(losses, factors)
        self.temperature = temperature
        self.rate = rate

    def initial_state(self, n_terms: int) -> dict[str, Tensor]:
        """Return equal weights, and no losses yet."""
        return {"weights": torch.ones(n_terms), "previous": torch.zeros(n_terms)}

    def next_state(self, measured: Float[Tensor, " term"], takes_part: Bool[Tensor, " term"]) -> dict[str, Tensor]:
        """Return the weights of the losses, and these as the previous ones."""
        previous = torch.where(self.n_updates == 0, measured, self.previous)
        if self.rate == "relative":
            weights = relative_weights(measured, previous, self.temperature, takes_part)
        else:
            weights = soft_weights((measured - previous) / self.temperature, takes_part)
        return {"weights": weights, "previous": measured}


def require_rate(rate: str) -> None:
    """Check the name of a rate.

    Raises:
        ValueError: if there is none of this name.
    """
    if rate not in get_args(Rate):
        raise ValueError(f"rate is {' or '.join(get_args(Rate))}, got {rate!r}")


def relative_weights(losses: Tensor, former: Tensor, temperature: float, takes_part: Tensor) -> Tensor:
    """Return weights by the ratio of losses to former ones, which counts as 1 where a former one is 0."""
    limits = torch.finfo(losses.dtype)
    ratio = torch.where(former > 0, losses / former.clamp(min=limits.tiny), 1)
    return soft_weights((ratio / temperature).clamp(max=limits.max), takes_part)


def soft_weights(scores: Tensor, takes_part: Tensor) -> Tensor:
    """Return weights of mean 1 by the exponentials of scores, over the terms that take part; 0 for others."""
    return takes_part.sum() * torch.softmax(scores.masked_fill(~takes_part, float("-inf")), dim=0)
