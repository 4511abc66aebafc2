"""Budget of a quantity: its change against the integral of its rate."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Budget(NamedTuple):
    """A quantity of every trajectory and the rate at which it must change according to the equation.

    Attributes:
        amount: E.g. the kinetic energy, ``(batch,)``.
        rate: Its time derivative, e.g. forcing minus dissipation, ``(batch,)``.
    """

    amount: Tensor
    rate: Tensor


class BudgetAccount:
    """Comparison of the change of an amount with the integral of its rate, by the trapezoidal rule in float64.

    Args:
        start: Amount and rate at the beginning.
    """

    def __init__(self, start: Budget) -> None:
        self._start = self._last = Budget(*(value.double() for value in start))
        self._gained = torch.zeros_like(self._start.amount)
        self._moved = torch.zeros_like(self._start.amount)

    def add(self, budget: Budget, dt: float) -> None:
        """Enter amount and rate after a further time step Δt."""
        now = Budget(*(value.double() for value in budget))
        gain = 0.5 * dt * (self._last.rate + now.rate)
        self._gained += gain
        self._moved += gain.abs()
        self._last = now

    @property
    def imbalance(self) -> Tensor:
        """Error of each trajectory's budget, relative to the amount and all that was gained and lost."""
        scale = torch.maximum(self._start.amount.abs(), self._last.amount.abs()) + self._moved
        error = (self._last.amount - self._start.amount - self._gained).abs()
        return torch.where(scale > 0, error / scale, error)
