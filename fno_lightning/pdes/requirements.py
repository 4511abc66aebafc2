"""Check that equations share: of their arguments, and of the trajectories that they make."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from jaxtyping import Bool
from torch import Tensor


def require_positive(**arguments: float | Sequence[float]) -> None:
    """Check that arguments are positive and finite, each number of a sequence.

    Raises:
        ValueError: if one is not, or a sequence is empty; names it.
    """
    _require_numbers(arguments, lambda number: 0 < number < math.inf, "positive, finite numbers")


def require_above(bound: float, **arguments: float | Sequence[float]) -> None:
    """Check that arguments are finite and greater than a bound, each number of a sequence.

    Raises:
        ValueError: if one is not, or a sequence is empty; names it.
    """
    _require_numbers(arguments, lambda number: bound < number < math.inf, f"finite numbers above {bound:g}")


def require_not_negative(**arguments: float | Sequence[float]) -> None:
    """Check that arguments are finite and at least 0, each number of a sequence.

    Raises:
        ValueError: if one is not, or a sequence is empty; names it.
    """
    _require_numbers(arguments, lambda number: 0 <= number < math.inf, "finite numbers of at least 0")


def require_finite(**arguments: float | Sequence[float]) -> None:
    """Check that arguments are finite, each number of a sequence.

    Raises:
        ValueError: if one is not, or a sequence is empty; names it.
    """
    _require_numbers(arguments, math.isfinite, "finite numbers")


def as_sequence(value: float | Sequence[float]) -> Sequence[float]:
    """Return a number as a sequence of one, and a sequence as it is."""
    return value if isinstance(value, Sequence) else (value,)


def _require_numbers(
    arguments: Mapping[str, float | Sequence[float]], is_good: Callable[[float], bool], expected: str
) -> None:
    for name, value in arguments.items():
        values = as_sequence(value)
        if not values:
            raise ValueError(f"{name} is empty, expected at least one number")
        if not all(is_good(number) for number in values):
            raise ValueError(f"{name} is {value}, expected {expected}")


def require_range(
    lower: float = -math.inf, upper: float = math.inf, **arguments: tuple[float | int, float | int]
) -> None:
    """Check that arguments are ranges (lowest, highest) within bounds.

    Args:
        lower: Least value that a range may hold.
        upper: Greatest value that a range may hold.
        **arguments: The ranges by name.

    Raises:
        ValueError: if one is empty, not finite or out of bounds; names it.
    """
    for name, (lowest, highest) in arguments.items():
        if not (math.isfinite(lowest) and math.isfinite(highest) and lowest <= highest):
            raise ValueError(f"{name} is {(lowest, highest)}, expected (lowest, highest) with lowest <= highest")
        if lowest < lower or highest > upper:
            raise ValueError(f"{name} is {(lowest, highest)}, but it must lie within {lower:g} and {upper:g}")


def require_resolution(resolution: Sequence[int], n_dims: int | None = None, minimum: int = 4) -> tuple[int, ...]:
    """Check the number of grid points along each axis, and return it as a tuple.

    Args:
        resolution: Points along each axis.
        n_dims: Number of axes; any unless given.
        minimum: Least number of points along an axis.

    Raises:
        ValueError: if there are too few points, or not ``n_dims`` axes.
    """
    if n_dims is not None and len(resolution) != n_dims:
        raise ValueError(f"resolution is {list(resolution)}, expected {n_dims} numbers of points, one for each axis")
    if not resolution or min(resolution) < minimum:
        raise ValueError(f"resolution is {list(resolution)}, expected at least {minimum} points along each axis")
    return tuple(resolution)


def require_at_least(minimum: int, **arguments: int) -> None:
    """Check that arguments are at least a minimum.

    Raises:
        ValueError: if one is not; names it.
    """
    for name, value in arguments.items():
        if value < minimum:
            raise ValueError(f"{name} is {value}, expected at least {minimum}")


def broken_seeds(kept: Bool[Tensor, " batch"], seeds: Sequence[int]) -> list[int]:
    """Return the seeds of the trajectories that must not be kept.

    Args:
        kept: Whether each trajectory of a batch may be kept.
        seeds: Seed of each trajectory.
    """
    return [seed for seed, is_kept in zip(seeds, kept.tolist(), strict=True) if not is_kept]
