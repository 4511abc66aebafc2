"""Trajectories from arrays with named axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from fno_lightning.data.hdf5.writer import n_trajectories
from fno_lightning.data.importing.arrays import COMPONENT, TIME, TRAJECTORY, Arrays
from fno_lightning.pdes import Trajectories

CONDITIONS = ("periodic", "wall", "open")


def trajectories_of(
    arrays: Arrays,
    *,
    boundaries: Sequence[str],
    constant_fields: Sequence[str] = (),
    time_step: float | None = None,
    extent: Sequence[Sequence[float]] | None = None,
) -> Trajectories:
    """Order arrays as trajectories, with coordinates and boundaries.

    Arrays without a time axis beside others that have one are constant fields. Arrays with as many components as there
    are axes are vectors.

    Args:
        arrays: The arrays.
        boundaries: Condition at both sides of each axis, or one for all: ``periodic``, ``wall`` or ``open``.
        constant_fields: Names of arrays that are given, not predicted; needed where nothing has a time axis.
        time_step: Time between two frames, where the source has no times.
        extent: Lower and upper edge of each axis, where the source has no coordinates: points are centres of cells.

    Raises:
        ValueError: if something is missing, contradicts itself, or is no number; names it and the option.
    """
    sizes, axes = arrays.sizes, arrays.axes
    if not axes:
        raise ValueError(f"{arrays.source}: no axis of space is named: name the axes with --dims, as trajectory,time,x")
    evolves = [name for name in arrays.values if TIME in arrays.dims[name]]
    given = [name for name in arrays.values if name in constant_fields or (evolves and name not in evolves)]
    if unknown := sorted(set(constant_fields) - set(arrays.values)):
        raise ValueError(f"{arrays.source}: there is no {unknown[0]}, only {', '.join(arrays.values)}")
    if not evolves and not given:
        raise ValueError(
            f"{arrays.source}: nothing has an axis of time, so {', '.join(arrays.values)} are steady: name those that "
            "are given, not predicted, with --constant_fields"
        )
    if len(given) == len(arrays.values):
        raise ValueError(f"{arrays.source}: all of {', '.join(given)} are given, so nothing is left to be predicted")
    n = sizes.get(TRAJECTORY, 1)
    ordered = {name: _ordered(arrays, name, axes, time=name not in given) for name in arrays.values}
    vectors = {name for name in arrays.values if COMPONENT in arrays.dims[name]}
    for name in vectors:
        if ordered[name].shape[-1] != len(axes) or name in given:
            raise ValueError(
                f"{arrays.source}: {name} has {ordered[name].shape[-1]} components on {len(axes)} axes: only a vector "
                "of the equation has as many as axes; save the components as arrays of their own"
            )
    return Trajectories(
        time=_times(arrays, sizes.get(TIME, 1), time_step),
        coordinates={
            axis: _points(arrays, axis, sizes[axis], None if extent is None else (extent, i, len(axes)))
            for i, axis in enumerate(axes)
        },
        boundaries=_boundaries(axes, boundaries),
        scalars={name: _scalar(name, value, n, arrays.source) for name, value in arrays.scalars.items()},
        scalar_fields={name: ordered[name] for name in ordered if name not in given and name not in vectors},
        vector_fields={name: ordered[name] for name in ordered if name in vectors},
        constant_fields={name: ordered[name] for name in given},
    )


def _ordered(arrays: Arrays, name: str, axes: Sequence[str], *, time: bool) -> Tensor:
    """Return an array as ``(trajectory, time, *axes, component)``, without time if it is given."""
    array, dims = arrays.values[name], list(arrays.dims[name])
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{arrays.source}: {name} holds {array.dtype}, expected real numbers")
    if missing := [axis for axis in axes if axis not in dims]:
        raise ValueError(f"{arrays.source}: {name} has no axis {missing[0]}, which other fields have")
    lead = [TRAJECTORY, TIME] if time or TIME in dims else [TRAJECTORY]
    for dim in lead:
        if dim not in dims:
            array, dims = array[None], [dim, *dims]
    if not time and TIME in dims:
        raise ValueError(f"{arrays.source}: {name} changes in time, so it cannot be one of the --constant_fields")
    order = [*lead, *axes, *([COMPONENT] if COMPONENT in dims else [])]
    array = np.transpose(array, [dims.index(dim) for dim in order])
    wide = array.dtype.kind == "f" and array.dtype.itemsize > 4
    return torch.from_numpy(np.array(array, dtype=np.float64 if wide else np.float32, order="C"))


def _times(arrays: Arrays, n_frames: int, time_step: float | None) -> Tensor:
    if time_step is not None:
        return torch.arange(n_frames, dtype=torch.float64) * time_step
    if n_frames == 1:
        return torch.zeros(1)
    if TIME not in arrays.coordinates:
        raise ValueError(f"{arrays.source} has {n_frames} frames, but no times: give the time between two, --time_step")
    times = np.asarray(arrays.coordinates[TIME], dtype=np.float64).reshape(-1)
    if len(times) == n_frames + 1:  # PDEBench names one more than there are
        times = times[:-1]
    return _increasing(times, TIME, n_frames, arrays.source)


def _points(
    arrays: Arrays, axis: str, n_points: int, extent: tuple[Sequence[Sequence[float]], int, int] | None
) -> Tensor:
    if extent is not None:
        edges, number, n_axes = extent
        if len(edges) != n_axes or any(len(pair) != 2 or not pair[0] < pair[1] for pair in edges):
            raise ValueError(
                f"--extent {[list(pair) for pair in edges]}: expected a lower and an upper edge for each of the "
                f"{n_axes} axes"
            )
        low, high = edges[number]
        return low + (high - low) * (torch.arange(n_points, dtype=torch.float64) + 0.5) / n_points
    if axis not in arrays.coordinates:
        raise ValueError(
            f"{arrays.source} has no coordinates along {axis}: give the edges of each axis, as --extent [[0,1],[0,2]]"
        )
    points = np.asarray(arrays.coordinates[axis], dtype=np.float64).reshape(-1)
    return _increasing(points, axis, n_points, arrays.source)


def _increasing(points: np.ndarray, name: str, n_points: int, source: str) -> Tensor:
    if len(points) != n_points:
        raise ValueError(f"{source}: {name} has {len(points)} values, but the fields have {n_points} points along it")
    if not np.isfinite(points).all():
        raise ValueError(f"{source}: {name} holds NaN or infinite values")
    if broken := np.flatnonzero(np.diff(points) <= 0).tolist():
        first = broken[0]
        raise ValueError(
            f"{source}: {name} does not increase: value {first + 1} is {points[first + 1]:g} after {points[first]:g}"
        )
    return torch.from_numpy(points.copy())


def _boundaries(axes: Sequence[str], conditions: Sequence[str]) -> dict[str, tuple[str, str]]:
    if len(conditions) not in (1, len(axes)):
        raise ValueError(f"--boundaries has {len(conditions)} entries for the axes {', '.join(axes)}: one, or one each")
    for condition in conditions:
        if condition not in CONDITIONS:
            raise ValueError(f"--boundaries {condition}: expected {', '.join(CONDITIONS)}")
    each = list(conditions) * (len(axes) if len(conditions) == 1 else 1)
    return {axis: (condition, condition) for axis, condition in zip(axes, each, strict=True)}


def _scalar(name: str, value: np.ndarray, n: int, source: str) -> Tensor:
    value = np.asarray(value)
    if value.dtype.kind not in "fiub" or value.shape not in ((), (1,), (n,)):
        raise ValueError(
            f"{source}: {name} has the shape {value.shape}, expected one number, or one for each of the "
            f"{n} trajectories"
        )
    numbers = torch.from_numpy(value.astype(np.float32))
    return numbers if numbers.ndim and n > 1 else numbers.reshape(())


def select(trajectories: Trajectories, numbers: Sequence[int]) -> Trajectories:
    """Return some of the trajectories."""

    def chosen(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: part[list(numbers)] if part.ndim else part for name, part in parts.items()}

    return Trajectories(
        trajectories.time,
        trajectories.coordinates,
        trajectories.boundaries,
        chosen(trajectories.scalars),
        chosen(trajectories.scalar_fields),
        chosen(trajectories.vector_fields),
        chosen(trajectories.constant_fields),
    )


def joined(parts: Sequence[Trajectories], names: Sequence[str]) -> Trajectories:
    """Return the trajectories of several sources in one.

    Raises:
        ValueError: if they differ in fields, scalars, times or coordinates; names two sources.
    """
    first = parts[0]
    for other, name in zip(parts[1:], names[1:], strict=True):
        for kind in ("scalars", "scalar_fields", "vector_fields", "constant_fields", "coordinates"):
            mine, others = getattr(first, kind), getattr(other, kind)
            if set(mine) != set(others):
                raise ValueError(
                    f"{names[0]} has the {kind.replace('_', ' ')} {sorted(mine)}, {name} has {sorted(others)}"
                )
        axes = {"time": (first.time, other.time)}
        axes |= {axis: (points, other.coordinates[axis]) for axis, points in first.coordinates.items()}
        for axis, (mine, others) in axes.items():
            if mine.shape != others.shape or not torch.allclose(mine, others, rtol=1e-5, atol=0):
                raise ValueError(f"{names[0]} and {name} have other values along {axis}: import them apart")

    def all_of(kind: str) -> dict[str, Tensor]:
        return {name: torch.cat([getattr(part, kind)[name] for part in parts]) for name in getattr(first, kind)}

    fields = {kind: all_of(kind) for kind in ("scalar_fields", "vector_fields", "constant_fields")}
    counts = [n_trajectories(part) for part in parts]
    scalars = {
        name: torch.cat([part.scalars[name].expand(n) for part, n in zip(parts, counts, strict=True)])
        for name in first.scalars
    }
    return Trajectories(first.time, first.coordinates, first.boundaries, scalars, **fields)
