"""Trajectories grouped by the value of a parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fno_lightning.callbacks.trajectory_errors import TrajectoryErrors
from fno_lightning.data import FieldSpec

MOST_VALUES = 10
"""Distinct values of a parameter that have a group each; more are binned."""

N_BINS = 6
"""Bins of a parameter with more values, with equally many distinct values each."""


class Group(NamedTuple):
    """Trajectories with the same, or similar, value of a parameter.

    Attributes:
        label: The value, or the smallest and the largest.
        trajectories: Errors of the trajectories.
    """

    label: str
    trajectories: list[TrajectoryErrors]


def groups_by_parameter(trajectories: Sequence[TrajectoryErrors], spec: FieldSpec) -> dict[str, list[Group]]:
    """Return groups for every parameter that differs between trajectories, in the order of its values.

    In a mixture the data set is a parameter too, named ``data set``.
    """
    found = {name: _by_value(trajectories, k) for k, name in enumerate(spec.scalars)}
    if spec.members:
        found["data set"] = [
            Group(name, [errors for errors in trajectories if errors.member == number])
            for number, name in enumerate(spec.members)
        ]
    groups = {name: [group for group in of_name if group.trajectories] for name, of_name in found.items()}
    return {name: of_name for name, of_name in groups.items() if len(of_name) > 1}


def _by_value(trajectories: Sequence[TrajectoryErrors], k: int) -> list[Group]:
    values = [float(errors.scalars[k]) for errors in trajectories]
    distinct = sorted(set(values))
    n_groups = len(distinct) if len(distinct) <= MOST_VALUES else N_BINS
    groups = []
    for bin_ in np.array_split(np.array(distinct), n_groups or 1):
        if not len(bin_):
            continue
        own = [errors for errors, value in zip(trajectories, values, strict=True) if bin_[0] <= value <= bin_[-1]]
        label = f"{bin_[0]:.4g}" if len(bin_) == 1 else f"{bin_[0]:.4g} to {bin_[-1]:.4g}"
        groups.append(Group(label, own))
    return groups
