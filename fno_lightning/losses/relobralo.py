"""Weights of losses by their progress, with random looks back to the start."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from random import Random

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fno_lightning.losses.balanced_sum import BalancedSum, require_fraction, require_positive
from fno_lightning.losses.base import Loss
from fno_lightning.losses.soft_adapt import relative_weights

_MODULUS, _MULTIPLIER = 2**31 - 1, 48271
"""Of a generator whose state is one number, in the checkpoint: Park et al. 1993, Commun. ACM 36 (7), 108."""


class ReLoBRaLo(BalancedSum):
    r"""Sum of losses balanced by their progress since the last step and, at random, since the first one.

    .. math:: \lambda_i(t) = \alpha \bigl( \rho \, \lambda_i(t - 1) + (1 - \rho) \, \hat\lambda_i(t, 0) \bigr)
              + (1 - \alpha) \, \hat\lambda_i(t, t - 1), \qquad
              \hat\lambda_i(t, t') = n \, \mathrm{softmax}_i \left(
              \frac{\mathrm{loss}_i(t)}{T \, \mathrm{loss}_i(t')} \right)

    with n terms that take part, and ρ, drawn for each optimizer step, 1 with probability ``rho`` and else 0. In the
    first step all weigh 1. The draws are the same in all processes, follow the seed of the run (``seed_everything``),
    go on where a training is resumed, and leave torch's random numbers alone.

    Equal to neuralop's ``Relobralo`` (there ``beta`` is the probability and ``tau`` is T) for the same draws, where
    losses are well above its ε of 1e-8. There a loss of 0 takes weights away from all, ratios of losses near ε are
    wrong, and processes have other draws and, from other batches, other weights.

    Args:
        losses: The losses, in a list or by name; they are at least 0.
        factors: Factor of each, see :class:`~fno_lightning.losses.BalancedSum`.
        temperature: T; the larger, the nearer to equal are the weights.
        alpha: α; the nearer to 1, the longer are former weights remembered.
        rho: Probability that a step does not look back to the first one.

    Raises:
        ValueError: if ``temperature`` is not positive, or ``alpha`` or ``rho`` is not between 0 and 1; see
            :class:`~fno_lightning.losses.BalancedSum`.

    Reference: Bischof and Kraus 2021, arXiv:2110.09813, section 3.
    """

    initial: Tensor
    previous: Tensor
    random: Tensor

    def __init__(
        self,
        losses: Sequence[Loss] | Mapping[str, Loss],
        factors: Sequence[float] | Mapping[str, float] | None = None,
        temperature: float = 1.0,
        alpha: float = 0.95,
        rho: float = 0.99,
    ) -> None:
        require_positive(temperature=temperature)
        require_fraction(alpha=alpha, rho=rho)
        super().__init__(losses, factors)
        self.temperature = temperature
        self.alpha = alpha
        self.rho = rho

    def initial_state(self, n_terms: int) -> dict[str, Tensor]:
        """Return equal weights, no losses yet, and the start of the random numbers."""
        start = Random(os.environ.get("PL_GLOBAL_SEED", "0")).randrange(1, _MODULUS)
        losses = {name: torch.zeros(n_terms) for name in ("initial", "previous")}
        return {"weights": torch.ones(n_terms), **losses, "random": torch.tensor(start)}

    def next_state(self, measured: Float[Tensor, " term"], takes_part: Bool[Tensor, " term"]) -> dict[str, Tensor]:
        """Return the weights of the losses, and what the next ones follow from."""
        is_first = self.n_updates == 0
        initial, previous = (torch.where(is_first, measured, former) for former in (self.initial, self.previous))
        since_first, since_last = (
            relative_weights(measured, former, self.temperature, takes_part) for former in (initial, previous)
        )
        random = self.random * _MULTIPLIER % _MODULUS
        remembered = torch.where(random < self.rho * _MODULUS, self.weights, since_first)
        weights = self.alpha * remembered + (1 - self.alpha) * since_last
        return {"weights": weights, "initial": initial, "previous": measured, "random": random}
