"""Fields on uneven axes, brought to evenly spaced points."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fno_lightning.data.hdf5.file import WellFile

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(2)
"""Points and weights of a quadrature on [-1, 1] that is exact for cubic polynomials."""


@dataclass(frozen=True, eq=False)
class Resampling:
    """Resampling of the uneven axes of a grid to as many evenly spaced points, the centres of equal cells.

    Attributes:
        matrices: For each axis a matrix ``(point, stored point)``; ``None`` where the points are even.
    """

    matrices: tuple[np.ndarray | None, ...]

    @property
    def axes(self) -> tuple[bool, ...]:
        """Whether an axis is resampled."""
        return tuple(matrix is not None for matrix in self.matrices)

    def apply(self, values: np.ndarray, first_axis: int) -> np.ndarray:
        """Resample values; they are in double precision then, unless no axis is resampled.

        Args:
            values: Values on the grid, with one point along axes along which nothing varies.
            first_axis: Position of the grid's first axis among those of the values.
        """
        for axis, matrix in enumerate(self.matrices, start=first_axis):
            if matrix is not None and values.shape[axis] > 1:
                double = np.moveaxis(values, axis, -1).astype(np.float64, order="C")
                values = np.moveaxis(double @ matrix.T, -1, axis)
        return values


def uniform_resampling(file: WellFile) -> Resampling | None:
    """Return the resampling of a file's uneven axes; ``None`` if there are none.

    Raises:
        ValueError: if coordinates of an uneven axis differ by trajectory, or neither increase nor decrease.
    """
    matrices: list[np.ndarray | None] = []
    for axis, sides, row in zip(file.axes, file.boundaries, file.coordinates, strict=True):
        points = file.points[axis]
        if points.uneven_row() is None:
            matrices.append(None)
            continue
        number = points.differing_row()
        if number is not None:
            raise ValueError(
                f"{file.path}: the coordinates along {axis} in trajectory {number} are not those in trajectory 0, and "
                "resample takes one grid for all: write the file with the same points for all of its trajectories"
            )
        steps = np.diff(row)
        if not ((steps > 0).all() or (steps < 0).all()):
            raise ValueError(
                f"{file.path}: the coordinates along {axis} neither only increase nor only decrease, so they cannot be "
                "resampled: correct them"
            )
        matrices.append(uniform_matrix(row, is_periodic=sides == ("periodic", "periodic")))
    return None if all(matrix is None for matrix in matrices) else Resampling(tuple(matrices))


def uniform_matrix(points: Float[np.ndarray, " n"], *, is_periodic: bool) -> Float[np.ndarray, "n n"]:
    r"""Return the matrix that brings values at uneven points to the centres of n equal cells of the same domain.

    The new value of a cell is the average over it of the piecewise cubic polynomial through the stored values (through
    the four nearest points; at an end that is not periodic a parabola through the last three), plus a constant by
    which the mean stays what it was: the plain mean of the new values is the mean of the stored ones weighted by
    their cells, whose sides are the middles between the points and the edges of the domain. Both are linear in the
    values, and exact for constants. For smooth fields all but that constant is accurate to fourth order against cell
    averages, so to second order against point values; the constant, the difference of the two rules of integration, is
    of second order. Next to a jump values overshoot by up to 5 % of it.

    The domain is that of :func:`~fno_lightning.field_spec.cell_edges`: half a spacing beyond the first and the last
    point. On a periodic axis it is one period, and the cells at both ends extend to the middles over the gap.

    Args:
        points: Coordinates, at least three, which only increase or only decrease.
        is_periodic: Whether the axis closes.
    """
    x = np.abs(points - points[0])
    n = len(x)
    low, high = -x[1] / 2, x[-1] + (x[-1] - x[-2]) / 2
    length = high - low
    nodes, numbers = (x, np.arange(n))
    if is_periodic:
        nodes, numbers = np.concatenate((x - length, x, x + length)), np.tile(numbers, 3)
    edges = np.linspace(low, high, n + 1)
    matrix = np.zeros((n, n))
    knots = np.unique(np.concatenate((edges, x)))
    for left, right in itertools.pairwise(knots):
        middle, half = (left + right) / 2, (right - left) / 2
        cell = min(n - 1, int((middle - low) / length * n))
        stencil = _stencil(nodes, middle)
        weights = _WEIGHTS * half @ _lagrange(nodes[stencil], middle + half * _NODES)
        np.add.at(matrix[cell], numbers[stencil], weights)
    matrix *= n / length
    matrix += _cells(x, low, high, is_periodic=is_periodic) / length - matrix.mean(axis=0)
    return matrix


def _stencil(nodes: np.ndarray, position: float) -> slice:
    """Return the nodes that the polynomial at a position goes through."""
    interval = min(max(int(np.searchsorted(nodes, position)) - 1, 0), len(nodes) - 2)
    return slice(max(interval - 1, 0), interval + 3)


def _lagrange(nodes: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return the values at some positions of the polynomials that are 1 at one node, ``(position, node)``."""
    values = np.ones((len(positions), len(nodes)))
    for i, j in np.ndindex(len(nodes), len(nodes)):
        if i != j:
            values[:, i] *= (positions - nodes[j]) / (nodes[i] - nodes[j])
    return values


def _cells(x: np.ndarray, low: float, high: float, *, is_periodic: bool) -> np.ndarray:
    """Return the width of the cell of each point."""
    if is_periodic:
        x = np.concatenate(([x[-1] - (high - low)], x, [x[0] + (high - low)]))
    middles = (x[1:] + x[:-1]) / 2
    return np.diff(middles if is_periodic else np.concatenate(([low], middles, [high])))
