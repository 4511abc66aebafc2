"""Cells of a mesh: their length, area or volume, and what of it each point stands for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

SIMPLICES: Mapping[str, tuple[tuple[int, ...], ...]] = {
    "line": ((0, 1),),
    "triangle": ((0, 1, 2),),
    "quad": ((0, 1, 2), (0, 2, 3)),
    "tetra": ((0, 1, 2, 3),),
    "hexahedron": ((0, 1, 2, 6), (0, 2, 3, 6), (0, 3, 7, 6), (0, 7, 4, 6), (0, 4, 5, 6), (0, 5, 1, 6)),
}
"""Kinds of cells that are known, with the simplices that each is made of, by the numbers of its points in VTK."""

SMALLEST_MEASURE = 1e-10
"""Smallest measure of a cell, beside the median of the mesh; below it, the cell is degenerate."""


class CellError(ValueError):
    """Error for the cells of a mesh that bound no proper domain."""


def cell_dimension(kind: str) -> int:
    """Return the number of dimensions of a kind of cells."""
    return len(SIMPLICES[kind][0]) - 1


def cell_measures(points: Array, kind: str, cells: Array) -> Array:
    """Return the length, area or volume of each cell.

    It has a sign where the cells have as many dimensions as the space: that of the orientation.

    Args:
        points: Coordinates, ``(point, dim)``.
        kind: One of :data:`SIMPLICES`.
        cells: Numbers of the points of each cell, ``(cell, corner)``.
    """
    total = np.zeros(len(cells))
    for corners in SIMPLICES[kind]:
        simplex = points[cells[:, corners]]
        edges = simplex[:, 1:] - simplex[:, :1]
        n_edges, n_dims = edges.shape[1:]
        if n_edges == n_dims:
            measures = np.linalg.det(edges)
        else:
            measures = np.sqrt(np.maximum(np.linalg.det(edges @ edges.transpose(0, 2, 1)), 0))
        total += measures / math.factorial(n_edges)
    return total


def cell_sizes(points: Array, kind: str, cells: Array, *, must_be_proper: bool = True) -> Array:
    """Return the measures of cells without their sign.

    Args:
        points: Coordinates, ``(point, dim)``.
        kind: One of :data:`SIMPLICES`.
        cells: Numbers of the points of each cell, ``(cell, corner)``.
        must_be_proper: Whether degenerate and inverted cells are an error.

    Raises:
        CellError: if a cell has no extent, or is oriented unlike most others; names the first.
    """
    measures = cell_measures(points, kind, cells)
    sizes: Array = np.abs(measures)
    if not must_be_proper:
        return sizes
    degenerate = np.flatnonzero(~(sizes > SMALLEST_MEASURE * np.median(sizes)))
    if len(degenerate):
        raise CellError(f"{len(degenerate)} of {len(cells)} {kind} cells are degenerate, the first is {degenerate[0]}")
    turned = measures < 0
    inverted = np.flatnonzero(turned if turned.mean() <= 0.5 else ~turned)
    if len(inverted):
        raise CellError(
            f"{len(inverted)} of {len(cells)} {kind} cells are inverted, the first is {inverted[0]}: its points go "
            "round the other way"
        )
    if points.shape[1] == 3 and cell_dimension(kind) == 2:
        _require_oriented(kind, cells)
    return sizes


def _require_oriented(kind: str, cells: Array) -> None:
    """Check that no two cells of a surface go along an edge in the same direction."""
    edges = np.stack([cells, np.roll(cells, -1, axis=1)], axis=2).reshape(-1, 2)
    _, first, counts = np.unique(edges, axis=0, return_index=True, return_counts=True)
    repeated = np.flatnonzero(counts > 1)
    if len(repeated):
        cell = int(first[repeated].min()) // cells.shape[1]
        raise CellError(
            f"{kind} cells of the surface are inverted: {len(repeated)} edges are gone along twice in the same "
            f"direction, the first by cell {cell}"
        )


def point_weights(points: Array, cells: Mapping[str, Array], *, must_be_proper: bool = True) -> Array:
    """Return what each point stands for: equal parts of the measure of each cell that it is a corner of.

    Args:
        points: Coordinates, ``(point, dim)``.
        cells: Numbers of the points of each cell, by kind; all of one dimension.
        must_be_proper: As in :func:`cell_sizes`.

    Raises:
        CellError: if a cell is degenerate or inverted.
    """
    weight = np.zeros(len(points))
    for kind, corners in cells.items():
        share = cell_sizes(points, kind, corners, must_be_proper=must_be_proper) / corners.shape[1]
        np.add.at(weight, corners, share[:, None])
    return weight
