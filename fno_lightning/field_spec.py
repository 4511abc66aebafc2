"""Description of a data set in plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from fno_lightning.arguments import plain

POINT_WEIGHT = "point_weight"
"""Constant field of irregular data: what each point stands for in a mean over the domain; 0 for padding."""


@dataclass(frozen=True)
class FieldSpec:
    """Description of a data set: names of its fields, grid, boundaries, time step.

    Irregular data, point clouds and meshes, have one axis, ``point``, whose length differs from sample to sample. Where
    the points lie are the constant fields in :attr:`positions`, and what each stands for in a mean over the domain, its
    part of the area, say, is the constant field ``point_weight``: 0 for the padding of a ragged batch.

    The network's channels follow the order of :attr:`fields`, :attr:`constant_fields` and :attr:`scalars`. All values
    are plain, so that a specification travels through the command line and inside a checkpoint (:meth:`to_dict`).

    Args:
        dataset_name: Name of the data set, e.g. ``turbulent_radiative_layer_2D``.
        fields: Time-dependent fields, vectors and tensors by component, e.g. ``("density", "velocity_x")``.
        grid_shape: Number of grid points along each axis.
        constant_fields: Fields without time dependence, by component.
        scalars: Parameters of a trajectory that are constant in time, e.g. ``("tcool",)``.
        axes: Name of each axis, in the order of the grid.
        extent: Lower and upper edge of the domain along each axis, in the units of the coordinates.
        coordinates: Points of each axis whose points are not evenly spaced, nothing for an axis whose points are the
            centres of equal cells between its edges; empty if that holds for all.
        boundaries: Condition at the lower and the upper side of each axis: ``periodic``, ``wall`` or ``open``.
        time_step: Time between two steps of a trajectory; ``None`` for a steady problem.
        members: Names of the data sets that a mixture is made of; a batch numbers them (``Batch.member``).
        source: Where the data came from, for people to read: a path, a download, a simulation with its solver.
        positions: Constant fields that are the coordinates of the points of irregular data; empty for data on a grid.
            ``grid_shape`` is then the largest number of points.
        box: Lower and upper edge of the domain along each of ``positions``.

    Raises:
        ValueError: if ``axes``, ``extent``, ``boundaries`` or ``coordinates`` do not have one entry for each axis of
            ``grid_shape``; if irregular data have more than one axis, ``positions`` or ``point_weight`` are not among
            the constant fields, or ``box`` does not have one entry for each of ``positions``.
    """

    dataset_name: str
    fields: tuple[str, ...]
    grid_shape: tuple[int, ...]
    constant_fields: tuple[str, ...] = ()
    scalars: tuple[str, ...] = ()
    axes: tuple[str, ...] = ()
    extent: tuple[tuple[float, float], ...] = ()
    boundaries: tuple[tuple[str, str], ...] = ()
    time_step: float | None = None
    members: tuple[str, ...] = ()
    source: str = "unknown"
    coordinates: tuple[tuple[float, ...], ...] = ()
    positions: tuple[str, ...] = ()
    box: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        n_dims = len(self.grid_shape)
        for name in ("axes", "extent", "boundaries", "coordinates"):
            n_entries = len(getattr(self, name))
            if n_entries not in (0, n_dims):
                raise ValueError(f"{name} has {n_entries} entries, but the grid {self.grid_shape} has {n_dims} axes")
        if len(self.box) != len(self.positions):
            raise ValueError(f"box has {len(self.box)} entries, but positions are {list(self.positions)}")
        if self.is_irregular:
            self._require_points()

    def _require_points(self) -> None:
        needed = {*self.positions, POINT_WEIGHT}
        if missing := sorted(needed - set(self.constant_fields)):
            raise ValueError(f"irregular data have positions and point_weight among constant_fields, missing {missing}")
        if self.n_dims != 1:
            raise ValueError(f"irregular data have one axis, the points, but grid_shape is {self.grid_shape}")

    @property
    def is_irregular(self) -> bool:
        """Whether the data are points with positions of their own, and not fields on a grid."""
        return bool(self.positions)

    @property
    def n_dims(self) -> int:
        """Number of spatial dimensions."""
        return len(self.grid_shape)

    @property
    def uniform(self) -> tuple[bool, ...]:
        """Whether the points are evenly spaced, for each axis."""
        return tuple(not points for points in self.coordinates) or (True,) * self.n_dims

    @property
    def axis_names(self) -> tuple[str, ...]:
        """Names of the axes; x, y and so on where the data do not say."""
        return self.axes or tuple("xyzuvw"[: self.n_dims])

    @property
    def periodic(self) -> tuple[bool, ...]:
        """Whether each axis is periodic; all of them where no boundaries are named."""
        return tuple(sides == ("periodic", "periodic") for sides in self.boundaries) or (True,) * self.n_dims

    def points(self, grid: Sequence[int]) -> list[tuple[float, ...]]:
        """Return the coordinates along each axis: those of the data, or of another grid the centres of equal cells.

        Args:
            grid: Number of points along each axis.
        """
        extent = self.extent or ((0.0, 1.0),) * self.n_dims
        own = self.coordinates or ((),) * self.n_dims
        return [
            points if len(points) == n else tuple(low + (i + 0.5) * (high - low) / n for i in range(n))
            for n, (low, high), points in zip(grid, extent, own, strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the specification as plain values, for checkpoints and loggers."""
        values: dict[str, Any] = plain(asdict(self), "spec")
        for name in (
            "coordinates",
            "positions",
            "box",
        ):  # absent in earlier versions
            if not values[name]:
                del values[name]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FieldSpec:
        """Build a specification from :meth:`to_dict`'s values (lists become tuples)."""
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"unknown entries in a field specification: {sorted(unknown)}")
        known = {name: _frozen(value) for name, value in values.items()}
        if known.get("members") and known["scalars"][-1:] == ("member",):
            known["scalars"] = known["scalars"][:-1]  # 0.1 kept the number of the member among the scalars
        return cls(**known)


def component(name: str, axes: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    """Split the name of a component into that of its vector or tensor and its axes; a scalar has no axes.

    >>> component("velocity_y", "xy"), component("stress_xy", "xy"), component("vorticity", "xy")
    (('velocity', (1,)), ('stress', (0, 1)), ('vorticity', ()))
    """
    numbers = {axis: number for number, axis in enumerate(axes)}
    base, _, ending = name.rpartition("_")
    if base and ending in numbers:
        return base, (numbers[ending],)
    if base and all(letter in numbers for letter in ending):
        return base, tuple(numbers[letter] for letter in ending)
    return name, ()


def cell_edges(points: Sequence[float]) -> tuple[float, float]:
    """Return the edges of a row of grid points, each in the middle of its cell; rounded to seven digits."""
    if points[0] == points[-1]:
        return points[0] - 0.5, points[0] + 0.5
    lower = points[0] - (points[1] - points[0]) / 2
    upper = points[-1] + (points[-1] - points[-2]) / 2
    digits = _digits(upper - lower)
    return round(lower, digits), round(upper, digits)


def rounded(points: Sequence[float]) -> tuple[float, ...]:
    """Return a row of grid points, rounded to nine digits of its length."""
    digits = _digits(points[-1] - points[0]) + 2
    return tuple(round(point, digits) for point in points)


def _digits(length: float) -> int:
    """Return the number of decimals that gives a length seven digits."""
    return 6 - math.floor(math.log10(abs(length))) if length else 6


def _frozen(value: Any) -> Any:
    return tuple(_frozen(entry) for entry in value) if isinstance(value, list | tuple) else value
