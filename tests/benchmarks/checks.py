"""Check that both sides of a comparison compute the same kind of result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import nn


class DifferentResultError(RuntimeError):
    """Results that are not comparable."""


def parameter_count(network: nn.Module) -> int:
    """Return the number of real parameters; a complex one counts twice."""
    return sum(p.numel() * (1 + p.is_complex()) for p in network.parameters())


def require_equal_counts(counts: Mapping[str, int]) -> str:
    """Check that all contestants have equally many parameters; return a remark with their number.

    Raises:
        DifferentResultError: if they do not.
    """
    if len(set(counts.values())) != 1:
        raise DifferentResultError(f"the contestants have different numbers of real parameters: {dict(counts)}")
    return f"{next(iter(counts.values())):,} real parameters on every side"


def require_falling(losses: Mapping[str, Sequence[float]]) -> None:
    """Check that every contestant's losses are finite and that the last is smaller than the first.

    Raises:
        DifferentResultError: if one's are not.
    """
    for name, values in losses.items():
        if not all(math.isfinite(value) for value in values) or values[-1] >= values[0]:
            raise DifferentResultError(f"the loss of {name} does not fall: {[float(f'{v:.6g}') for v in values]}")


def require_close(values: Mapping[str, float], tolerance: float, what: str) -> None:
    """Check that a value is the same for all contestants.

    Raises:
        DifferentResultError: if two differ by more than ``tolerance`` of the largest magnitude.
    """
    spread = max(values.values()) - min(values.values())
    size = max(abs(value) for value in values.values())
    if not all(map(math.isfinite, values.values())) or spread > tolerance * size:
        raise DifferentResultError(f"{what} differs by more than {tolerance:g} of its size: {dict(values)}")
