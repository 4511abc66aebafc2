"""Arrays whose axes have names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

TRAJECTORY, TIME, COMPONENT = "trajectory", "time", "component"
"""Axes that are none of space."""


@dataclass(frozen=True)
class Arrays:
    """What a source holds.

    Attributes:
        values: Arrays by name.
        dims: Names of the axes of each.
        coordinates: Positions along axes, ``time`` among them, by name, as far as the source has them.
        scalars: Parameters by name: one number, or one for each trajectory.
        source: Where they are from.
    """

    values: Mapping[str, np.ndarray]
    dims: Mapping[str, tuple[str, ...]]
    coordinates: Mapping[str, np.ndarray] = field(default_factory=dict)
    scalars: Mapping[str, np.ndarray] = field(default_factory=dict)
    source: str = ""

    @property
    def axes(self) -> tuple[str, ...]:
        """Axes of space, in the order in which they first appear."""
        names = dict.fromkeys(name for dims in self.dims.values() for name in dims)
        return tuple(name for name in names if name not in (TRAJECTORY, TIME, COMPONENT))

    @property
    def sizes(self) -> dict[str, int]:
        """Number of points along each axis.

        Raises:
            ValueError: if an array has another number of axes than names, or two arrays another number along one axis.
        """
        found: dict[str, tuple[int, str]] = {}
        for name, array in self.values.items():
            dims = self.dims[name]
            if array.ndim != len(dims):
                raise ValueError(
                    f"{self.source}: {name} has the shape {array.shape}, {array.ndim} axes, but dims are "
                    f"{','.join(dims)}: name each axis with --dims"
                )
            for dim, size in zip(dims, array.shape, strict=True):
                known, owner = found.setdefault(dim, (size, name))
                if dim != COMPONENT and known != size:
                    raise ValueError(
                        f"{self.source}: {owner} has {known} points along {dim}, {name} has {size}: import fields of "
                        "different shapes as data sets of their own"
                    )
        return {dim: size for dim, (size, _) in found.items()}


def matching_dims(shape: Sequence[int], coordinates: Mapping[str, Any], source: str) -> tuple[str, ...]:
    """Return the names of an array's axes from their lengths.

    They are in the usual order: trajectories, time, the axes of space, components, of which all but those of space may
    be missing.

    Args:
        shape: Shape of the array.
        coordinates: Positions along time and the axes of space, as far as they are known.
        source: What the array is, for the message.

    Raises:
        ValueError: if no order fits, or several do.
    """
    space = [name for name in coordinates if name != TIME]
    fitting = []
    for kept in product((True, False), repeat=3):
        first, time, last = ([name] if is_kept else [] for name, is_kept in zip(_OPTIONAL, kept, strict=True))
        dims = [*first, *time, *space, *last]
        known = [(size, len(coordinates[dim])) for dim, size in zip(dims, shape, strict=False) if dim in coordinates]
        if len(dims) == len(shape) and all(size == length for size, length in known):
            fitting.append(tuple(dims))
    if len(fitting) != 1 or not space:
        found = " or ".join(",".join(dims) for dims in fitting)
        raise ValueError(
            f"{source}: the axes of the shape {tuple(shape)} are {found or 'not those of the coordinates'}: name them "
            "with --dims"
        )
    return fitting[0]


_OPTIONAL = (TRAJECTORY, TIME, COMPONENT)
