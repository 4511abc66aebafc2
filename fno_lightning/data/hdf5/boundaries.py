"""Boundary conditions of files, and the conditions of the sides that follow from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fno_lightning.data.hdf5.entry import Entry

KINDS = ("PERIODIC", "WALL", "OPEN")


@dataclass(frozen=True, eq=False)
class BoundaryCondition:
    """A boundary condition of a file.

    Attributes:
        location: Path of its group inside the file.
        kind: ``PERIODIC``, ``WALL`` or ``OPEN``.
        axes: The axes that its mask spans.
        mask: Cells in which it holds, ``(*axes)``; of the first trajectory and frame if it varies, as readers take it.
        fields: Names of the fields that it holds for; none: all.
    """

    location: str
    kind: str
    axes: tuple[str, ...]
    mask: np.ndarray
    fields: frozenset[str] = frozenset()

    def edges(self) -> Iterator[tuple[str, str, np.ndarray]]:
        """Yield each axis and side (``lower`` or ``upper``) with the mask there."""
        for index, axis in enumerate(self.axes):
            for side, position in (("lower", 0), ("upper", -1)):
                yield axis, side, self.mask.take(position, axis=index)

    def sides(self) -> set[tuple[str, str]]:
        """Return the sides that the condition claims as a whole, as ``("x", "lower")``."""
        return {(axis, side) for axis, side, edge in self.edges() if edge.all()}

    def shares_fields(self, other: BoundaryCondition) -> bool:
        """Whether there is a field that both conditions hold for."""
        return not self.fields or not other.fields or bool(self.fields & other.fields)


def read_kind(entry: Entry) -> str:
    """Read the kind of a condition, in capitals.

    Raises:
        EntryError: if it is none of those that The Well's format has.
    """
    kind = entry.text("bc_type")
    if kind.upper() not in KINDS:
        raise entry.error(f"has the bc_type '{kind}', expected PERIODIC, WALL or OPEN")
    return kind.upper()


def read_axes(entry: Entry, axes: Sequence[str]) -> tuple[str, ...]:
    """Read the axes that the mask of a condition spans.

    Args:
        entry: The condition's group.
        axes: Name of each spatial axis of the file.

    Raises:
        EntryError: if there are none, or others than the file has.
    """
    own = entry.names("associated_dims")
    if not own or not set(own) <= set(axes):
        raise entry.error(f"has associated_dims {own}, expected some of the axes {tuple(axes)}")
    return own


def read_mask(entry: Entry, axes: Sequence[str], lengths: Mapping[str, int]) -> np.ndarray:
    """Read the mask of a condition as booleans, ``(*axes)``, that of the first trajectory and frame if it varies.

    Args:
        entry: The condition's group.
        axes: The axes that the mask spans.
        lengths: Number of points along each axis of the file.

    Raises:
        EntryError: if it does not hold true or false for each point of the axes.
    """
    dataset = entry.dataset("mask")
    expected = tuple(lengths[axis] for axis in axes)
    n_leading = len(dataset.shape) - len(axes)
    if n_leading < 0 or dataset.shape[n_leading:] != expected or 0 in dataset.shape:
        raise dataset.error(
            f"has the shape {dataset.shape}, expected {expected} for the axes {tuple(axes)}: correct the mask"
        )
    dataset.require_numbers()
    values = dataset.read((0,) * n_leading)
    if values.dtype.kind not in "bifu" or not np.isin(values, (0, 1)).all():
        raise dataset.error(f"holds values of type {values.dtype} other than true and false: store it as boolean")
    return values.astype(bool)


def read_boundaries(group: Entry, lengths: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    """Read the condition at the lower and the upper side of each axis.

    A side is open unless a condition is stated; it is a wall only if all of it is.

    Args:
        group: The group ``/boundary_conditions``.
        lengths: Number of points along each spatial axis of the file, in order.

    Raises:
        EntryError: if a condition is not valid.
    """
    sides = {(axis, side): "open" for axis in lengths for side in ("lower", "upper")}
    for name in group.handle:
        entry = group.group(name)
        kind, axes = read_kind(entry), read_axes(entry, tuple(lengths))
        condition = BoundaryCondition(entry.location, kind, axes, read_mask(entry, axes, lengths))
        for axis, side, edge in condition.edges():
            if edge.all() if kind == "WALL" else edge.any():
                sides[axis, side] = kind.lower()
    return tuple((sides[axis, "lower"], sides[axis, "upper"]) for axis in lengths)
