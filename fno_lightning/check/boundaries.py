"""Checks the boundary conditions one by one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fno_lightning.check.attributes import checked_flag, checked_names, checked_text
from fno_lightning.check.dimensions import Dimensions
from fno_lightning.check.findings import Findings
from fno_lightning.data.hdf5.boundaries import BoundaryCondition, read_axes, read_kind, read_mask
from fno_lightning.data.hdf5.entry import Entry


@dataclass(frozen=True, eq=False)
class FieldCondition:
    """A boundary condition and the fields that it holds for.

    Attributes:
        condition: The condition.
        fields: Names of the fields; none: all.
    """

    condition: BoundaryCondition
    fields: frozenset[str]

    def sides(self) -> set[tuple[str, str]]:
        """Return the sides that the condition claims as a whole, as ``("x", "lower")``."""
        return {(axis, side) for axis, side, edge in self.condition.edges() if edge.all()}

    def shares_fields(self, other: FieldCondition) -> bool:
        """Whether there is a field that both conditions hold for."""
        return not self.fields or not other.fields or bool(self.fields & other.fields)


def check_sides(conditions: Sequence[FieldCondition], findings: Findings) -> None:
    """Checks that no side has two conditions, and none is periodic without the opposite one."""
    for first, second in itertools.combinations(conditions, 2):
        if first.shares_fields(second):
            for axis, side in sorted(first.sides() & second.sides()):
                _report_claim(first.condition, second.condition, f"the {side} side of {axis}", findings)
    periodic: dict[str, list[tuple[str, str]]] = {}
    for item in conditions:
        if item.condition.kind == "PERIODIC" and len(item.condition.axes) == 1:
            sides = [(side, item.condition.location) for _, side in item.sides()]
            periodic.setdefault(item.condition.axes[0], []).extend(sides)
    for axis, claims in periodic.items():
        if len({side for side, _ in claims}) == 1:
            side, place = claims[0]
            findings.error(
                place,
                f"is PERIODIC at the {side} side of {axis} only, but the sides of a period are one: correct the mask",
            )


def _report_claim(first: BoundaryCondition, second: BoundaryCondition, side: str, findings: Findings) -> None:
    message = f"claims {side} as {second.kind}, but {first.location} claims it as {first.kind}: keep one of them"
    is_surely_wrong = first.kind != second.kind and len(first.axes) == len(second.axes) == 1
    (findings.error if is_surely_wrong else findings.warning)(second.location, message)


def check_boundaries(root: Entry, dimensions: Dimensions, findings: Findings) -> None:
    """Checks ``/boundary_conditions``."""
    group = findings.attempt(root.group, "boundary_conditions")
    if group is None:
        return
    stated: set[str] = set()
    conditions = []
    for name in group.handle:
        entry = findings.attempt(group.group, name)
        axes = _check_axes(entry, dimensions, findings) if entry else None
        stated.update(dimensions.axes or () if axes is None else axes)  # a faulty condition may be for any axis
        condition = _check_condition(entry, axes, dimensions, findings) if entry else None
        if condition is not None:
            conditions.append(condition)
    for axis in dimensions.axes or ():
        if axis not in stated:
            findings.warning(
                group.location, f"has no condition for the axis {axis}: readers take both its sides as OPEN"
            )
    check_sides(conditions, findings)


def _check_axes(entry: Entry, dimensions: Dimensions, findings: Findings) -> tuple[str, ...] | None:
    if checked_names(entry, "associated_dims", findings) is None or dimensions.axes is None:
        return None
    return findings.attempt(read_axes, entry, dimensions.axes)


def _check_condition(
    entry: Entry, axes: tuple[str, ...] | None, dimensions: Dimensions, findings: Findings
) -> FieldCondition | None:
    kind = findings.attempt(read_kind, entry) if checked_text(entry, "bc_type", findings) is not None else None
    fields = checked_names(entry, "associated_fields", findings)
    sample_varying = checked_flag(entry, "sample_varying", findings)
    time_varying = checked_flag(entry, "time_varying", findings)
    dataset = findings.attempt(entry.dataset, "mask")
    if dataset is None or axes is None or not set(axes) <= set(dimensions.lengths):
        return None
    mask = findings.attempt(read_mask, entry, axes, dimensions.lengths)
    if mask is None or sample_varying is None or time_varying is None:
        return None
    expected = dimensions.shape(*["time"] * time_varying, *axes, sample_varying=sample_varying)
    if not _check_mask(dataset, mask, axes, expected, findings) or kind is None:
        return None
    condition = BoundaryCondition(entry.location, kind, axes, mask)
    _check_interior(condition, findings)
    return FieldCondition(condition, frozenset(fields or ()))


def _check_mask(
    dataset: Entry, mask: np.ndarray, axes: tuple[str, ...], expected: tuple[int, ...] | None, findings: Findings
) -> bool:
    """Check the shape of a mask against the flags, and that it is true somewhere; return whether it is sound."""
    if expected is not None and dataset.shape != expected:
        findings.error(
            dataset.location,
            f"has the shape {dataset.shape}, expected {expected} for the axes {axes}: correct the mask",
        )
        return False
    if not mask.any():
        findings.error(
            dataset.location,
            f"is false everywhere, so that readers take the sides of {', '.join(axes)} as OPEN: set it true in the "
            "first or the last cell, or delete the condition",
        )
        return False
    return True


def _check_interior(condition: BoundaryCondition, findings: Findings) -> None:
    """Checks that a condition on one axis holds at its ends; walls may also be obstacles within."""
    inside = condition.mask[1:-1] if len(condition.axes) == 1 else np.zeros(0, dtype=bool)
    if not inside.any():
        return
    place, axis = f"{condition.location}/mask", condition.axes[0]
    found = f"is true in {inside.sum()} of {inside.size} cells inside the axis {axis}"
    if condition.kind == "WALL":
        findings.warning(place, f"{found}: readers see walls only at the ends")
    else:
        findings.error(
            place, f"{found}, but {condition.kind} can only hold at the first and the last: correct the mask"
        )
