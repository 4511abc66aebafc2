"""Checks the boundary conditions one by one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fno_lightning.check.attributes import checked_flag, checked_names, checked_text
from fno_lightning.check.dimensions import Dimensions
from fno_lightning.check.findings import Findings
from fno_lightning.data.hdf5.entry import Entry


@dataclass(frozen=True, eq=False)
class Condition:
    """A boundary condition.

    Attributes:
        place: Its group in the file.
        kind: ``PERIODIC``, ``WALL`` or ``OPEN``.
        axes: The axes that its mask spans.
        fields: Names of the fields that it holds for; none: all.
        mask: Where it holds, ``(*axes)``.
    """

    place: str
    kind: str
    axes: tuple[str, ...]
    fields: frozenset[str]
    mask: np.ndarray

    def sides(self) -> set[tuple[str, str]]:
        """The sides all of which the condition claims, as ``("x", "lower")``."""
        return {
            (axis, side)
            for index, axis in enumerate(self.axes)
            for side, position in (("lower", 0), ("upper", -1))
            if self.mask.take(position, axis=index).all()
        }

    def shares_fields(self, other: Condition) -> bool:
        """Whether there is a field that both conditions hold for."""
        return not self.fields or not other.fields or bool(self.fields & other.fields)


def check_sides(conditions: Sequence[Condition], findings: Findings) -> None:
    """Checks that no side has two conditions, and none is periodic without the opposite one."""
    for first, second in itertools.combinations(conditions, 2):
        if first.shares_fields(second):
            for axis, side in sorted(first.sides() & second.sides()):
                _report_claim(first, second, f"the {side} side of {axis}", findings)
    periodic: dict[str, list[tuple[str, str]]] = {}
    for condition in conditions:
        if condition.kind == "PERIODIC" and len(condition.axes) == 1:
            sides = [(side, condition.place) for _, side in condition.sides()]
            periodic.setdefault(condition.axes[0], []).extend(sides)
    for axis, claims in periodic.items():
        if len({side for side, _ in claims}) == 1:
            side, place = claims[0]
            findings.error(
                place,
                f"is PERIODIC at the {side} side of {axis} only, but the sides of a period are one: correct the mask",
            )


def _report_claim(first: Condition, second: Condition, side: str, findings: Findings) -> None:
    message = f"claims {side} as {second.kind}, but {first.place} claims it as {first.kind}: keep one of them"
    is_surely_wrong = first.kind != second.kind and len(first.axes) == len(second.axes) == 1
    (findings.error if is_surely_wrong else findings.warning)(second.place, message)


KINDS = ("PERIODIC", "WALL", "OPEN")


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
            findings.warning(group.place, f"has no condition for the axis {axis}: readers take both its sides as OPEN")
    check_sides(conditions, findings)


def _check_axes(entry: Entry, dimensions: Dimensions, findings: Findings) -> tuple[str, ...] | None:
    axes = checked_names(entry, "associated_dims", findings)
    if axes is None or dimensions.axes is None:
        return None
    if not axes or not set(axes) <= set(dimensions.axes):
        findings.error(entry.place, f"has associated_dims {axes}, expected some of the axes {dimensions.axes}")
        return None
    return axes


def _check_condition(
    entry: Entry, axes: tuple[str, ...] | None, dimensions: Dimensions, findings: Findings
) -> Condition | None:
    kind = checked_text(entry, "bc_type", findings)
    if kind is not None and kind.upper() not in KINDS:
        findings.error(entry.place, f"has the bc_type '{kind}', expected PERIODIC, WALL or OPEN")
        kind = None
    fields = checked_names(entry, "associated_fields", findings)
    sample_varying = checked_flag(entry, "sample_varying", findings)
    time_varying = checked_flag(entry, "time_varying", findings)
    dataset = findings.attempt(entry.dataset, "mask")
    if dataset is None or axes is None or sample_varying is None or time_varying is None:
        return None
    expected = dimensions.shape(*["time"] * time_varying, *axes, sample_varying=sample_varying)
    if expected is None:
        return None
    mask = _check_mask(dataset, axes, expected, findings)
    if mask is None or kind is None:
        return None
    condition = Condition(entry.place, kind.upper(), axes, frozenset(fields or ()), mask)
    _check_interior(condition, findings)
    return condition


def _check_mask(
    dataset: Entry, axes: tuple[str, ...], expected: tuple[int, ...], findings: Findings
) -> np.ndarray | None:
    """Checks a mask; returns its values, where it varies those of the first trajectory and frame as readers do."""
    if dataset.shape != expected:
        findings.error(
            dataset.place, f"has the shape {dataset.shape}, expected {expected} for the axes {axes}: correct the mask"
        )
        return None
    values = np.asarray(dataset.handle[(0,) * (len(expected) - len(axes))])
    if values.dtype.kind not in "bifu" or not np.isin(values, (0, 1)).all():
        findings.error(
            dataset.place, f"holds values of type {values.dtype} other than true and false: store it as boolean"
        )
        return None
    if not values.any():
        findings.error(
            dataset.place,
            f"is false everywhere, so that readers take the sides of {', '.join(axes)} as OPEN: set it true in the "
            "first or the last cell, or delete the condition",
        )
        return None
    return values.astype(bool)


def _check_interior(condition: Condition, findings: Findings) -> None:
    """Checks that a condition on one axis holds at its ends; walls may also be obstacles within."""
    inside = condition.mask[1:-1] if len(condition.axes) == 1 else np.zeros(0, dtype=bool)
    if not inside.any():
        return
    place, axis = f"{condition.place}/mask", condition.axes[0]
    found = f"is true in {inside.sum()} of {inside.size} cells inside the axis {axis}"
    if condition.kind == "WALL":
        findings.warning(place, f"{found}: readers see walls only at the ends")
    else:
        findings.error(
            place, f"{found}, but {condition.kind} can only hold at the first and the last: correct the mask"
        )
