"""Rows of points, coordinates or times: whether they are even, and whether they are the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EVEN = 0.02
"""Largest distance of a point from its place in an even row, as a fraction of the spacing.

A wave of eight points is then out of phase by less than a degree. Coordinates that are written with few digits, and
frames that a solver stores at its first step after an even time, lie within it.
"""

ROUNDINGS = 4
"""Errors of rounding, of the size of the largest coordinate, that a point may have beside that."""

SAME_INTERVAL = 1e-3
"""Relative difference up to which two time steps are the same."""


@dataclass(frozen=True, eq=False)
class Points:
    """Coordinates of an axis, or times, as a file holds them.

    Attributes:
        rows: ``(row, point)``, float64; one row, or one for each trajectory.
        epsilon: Relative error of rounding of the values that are stored.
    """

    rows: np.ndarray
    epsilon: float

    @classmethod
    def of_values(cls, values: np.ndarray, dtype: np.dtype) -> Points:
        """Take stored values.

        Args:
            values: ``(point,)`` or ``(trajectory, point)``, float64.
            dtype: Data type on disk. Values of double precision that single precision holds too count as such.
        """
        with np.errstate(over="ignore"):
            is_single = (values == values.astype(np.float32)).all()
        epsilon = float(np.finfo(dtype if dtype.kind == "f" else np.float64).eps)
        return cls(np.atleast_2d(values), max(epsilon, float(np.finfo(np.float32).eps)) if is_single else epsilon)

    @property
    def intervals(self) -> np.ndarray:
        """Mean distance between two points of each row; 0 for single points."""
        intervals: np.ndarray = (self.rows[:, -1] - self.rows[:, 0]) / max(1, self.rows.shape[1] - 1)
        return intervals

    def uneven_row(self, stride: int = 1) -> int | None:
        """Return the number of the first row whose points are not even, every n-th counted; ``None`` if all are."""
        for number, row in enumerate(self.rows):
            if not self._is_even(row[::stride]):
                return number
        return None

    def differing_row(self) -> int | None:
        """Return the number of the first row that is not the same as the first; ``None`` if all are."""
        return next((number for number, row in enumerate(self.rows) if not same_points(row, self.rows[0])), None)

    def _is_even(self, row: np.ndarray) -> bool:
        if len(row) < 3:
            return True
        spacing = abs(row[-1] - row[0]) / (len(row) - 1)
        distance = np.abs(row - np.linspace(row[0], row[-1], len(row))).max()
        return bool(distance <= EVEN * spacing + ROUNDINGS * self.epsilon * np.abs(row).max())


def same_points(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether coordinates are equal but for the rounding errors of single precision."""
    return np.allclose(found, expected, rtol=1e-5, atol=1e-5 * np.ptp(expected))


def same_interval(found: float, expected: float) -> bool:
    """Whether two time steps are equal but for rounding."""
    return bool(abs(found - expected) <= SAME_INTERVAL * abs(expected))


def spacing_text(row: np.ndarray) -> str:
    """Return the smallest and the largest distance between neighbouring points of a row as text."""
    steps = np.diff(row)
    if len(row) > 1 and row[-1] < row[0]:
        steps = -steps
    return f"{steps.min():.4g} to {steps.max():.4g} apart"


def uneven_text(points: Points) -> str | None:
    """Return what is uneven about the points as text, ``None`` if nothing is."""
    number = points.uneven_row()
    if number is None:
        return None
    of = f" in trajectory {number}" if len(points.rows) > 1 else ""
    return f"{spacing_text(points.rows[number])}{of}"


def time_text(times: Points) -> str | None:
    """Return as text why times have no single time step, as what a file has; ``None`` if they have one."""
    uneven = uneven_text(times)
    if uneven is not None:
        return f"frames at uneven times, {uneven}"
    intervals = times.intervals.tolist()
    different = [n for n, interval in enumerate(intervals) if not same_interval(interval, intervals[0])]
    if different:
        number = different[0]
        return (
            f"trajectories with different time steps, {intervals[0]:.6g} in trajectory 0 and {intervals[number]:.6g} "
            f"in trajectory {number}"
        )
    return None
