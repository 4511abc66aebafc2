"""Checks that the boundary conditions agree on the sides of the domain."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fno_lightning.data.check.findings import Findings


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
