"""Metadata of one file in The Well's format, and of the data set that it is a part of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fno_lightning.data.hdf5.points import Points
from fno_lightning.field_spec import FieldSpec, cell_edges, rounded


@dataclass(frozen=True)
class WellField:
    """A scalar, vector or tensor field of a file.

    Attributes:
        name: Name of the field, e.g. ``velocity``.
        order: Tensor order: 0 for a scalar, 1 for a vector, 2 for a tensor.
        components: Name of each component in row-major order, e.g. ``("velocity_x", "velocity_y")``.
        shape: Shape on disk, ``(trajectory, time, *grid, *component)``; axes along which nothing varies may be absent.
        sample_varying: Whether the trajectories differ.
        time_varying: Whether the field depends on time.
        grid: Number of stored points along each axis, 1 where nothing varies.
        dtype: Data type on disk.
        offset: Position of the first value in the file if the values lie there as plain native numbers in one piece.
        elsewhere: Other files that values come from: through links, virtual data sets, external storage.
    """

    name: str
    order: int
    components: tuple[str, ...]
    shape: tuple[int, ...]
    sample_varying: bool
    time_varying: bool
    grid: tuple[int, ...]
    dtype: np.dtype
    offset: int | None
    elsewhere: tuple[Path, ...] = ()

    @property
    def path(self) -> str:
        """Path of the data set inside the file."""
        return f"t{self.order}_fields/{self.name}"

    @property
    def frame_size(self) -> int:
        """Number of values of one frame of one trajectory."""
        return math.prod(self.shape[self.sample_varying + self.time_varying :])


@dataclass(frozen=True, eq=False)
class WellFile:
    """A file's metadata; made by :func:`~fno_lightning.data.read_well_file`.

    Attributes:
        path: The file.
        dataset_name: Name of the data set that it is a part of.
        source: Origin of the data, if the file has one.
        n_trajectories: Number of trajectories.
        time: Time of each frame, ``(n_frames,)`` (of the first trajectory, if they differ).
        axes: Name of each spatial axis.
        coordinates: Coordinates of the points along each axis (of the first trajectory, if they differ).
        points: Times, as ``time``, and coordinates by axis, of every trajectory.
        boundaries: Condition at the lower and upper side of each axis: ``periodic``, ``wall`` or ``open``.
        fields: All fields, scalars before vectors before tensors, each in the order that the file names.
        scalars: Parameters that are constant in time, by name, ``(n_trajectories,)``.
        time_varying_scalars: Names of the scalars that depend on time.
    """

    path: Path
    dataset_name: str
    source: str | None
    n_trajectories: int
    time: np.ndarray
    axes: tuple[str, ...]
    coordinates: tuple[np.ndarray, ...]
    points: Mapping[str, Points]
    boundaries: tuple[tuple[str, str], ...]
    fields: tuple[WellField, ...]
    scalars: dict[str, np.ndarray]
    time_varying_scalars: tuple[str, ...]

    @property
    def n_frames(self) -> int:
        """Number of stored times."""
        return len(self.time)

    @property
    def grid_shape(self) -> tuple[int, ...]:
        """Number of points along each axis."""
        return tuple(len(points) for points in self.coordinates)

    @property
    def frame_interval(self) -> float:
        """Mean time between two stored frames."""
        return float(self.time[-1] - self.time[0]) / (self.n_frames - 1)

    def field(self, name: str) -> WellField:
        """Return a field by its name."""
        return next(field for field in self.fields if field.name == name)

    def components(self, *, time_varying: bool) -> tuple[str, ...]:
        """Return the names of the components of all fields that depend on time, or of all those that do not."""
        selected = (field for field in self.fields if field.time_varying is time_varying)
        return tuple(component for field in selected for component in field.components)


def file_spec(
    file: WellFile,
    *,
    fields: tuple[str, ...],
    time_step: float | None,
    source: str,
    grid_stride: int = 1,
    is_resampled: bool = False,
) -> FieldSpec:
    """Describe the data set that a file is a part of.

    Args:
        file: Metadata of the file.
        fields: Components of time-dependent fields that are used.
        time_step: Time between two steps; ``None`` for a steady problem.
        source: Origin of the data, for people to read.
        grid_stride: Distance between the grid points that are used.
        is_resampled: Whether fields are resampled to even points along the uneven axes, before points are left out.
    """
    axes = [_used_points(file.points[axis], grid_stride, is_resampled=is_resampled) for axis in file.axes]
    uneven = tuple(() if is_even else rounded(points) for points, is_even in axes)
    return FieldSpec(
        dataset_name=file.dataset_name,
        fields=fields,
        grid_shape=tuple(len(points) for points, _ in axes),
        constant_fields=file.components(time_varying=False),
        scalars=tuple(file.scalars),
        axes=file.axes,
        extent=tuple(cell_edges(points) for points, _ in axes),
        boundaries=file.boundaries,
        time_step=None if time_step is None else float(f"{time_step:.7g}"),
        source=source,
        coordinates=uneven if any(uneven) else (),
    )


def _used_points(points: Points, grid_stride: int, *, is_resampled: bool) -> tuple[list[float], bool]:
    """Return the points of an axis that are used, and whether they are even: of unequal trajectories the first."""
    row = points.rows[0]
    if is_resampled and points.uneven_row() is not None:
        (low, high), n = cell_edges(row.tolist()), len(row)
        return (low + (high - low) * (np.arange(n) + 0.5) / n)[::grid_stride].tolist(), True
    number = points.uneven_row(grid_stride)
    if number is not None:
        return points.rows[number][::grid_stride].tolist(), False
    row = row[::grid_stride]
    return np.linspace(row[0], row[-1], len(row)).tolist(), True  # rounding of a spacing would show in the edges


def matching_stride(file: WellFile, resolution: Sequence[int]) -> int:
    """Return the distance between points of a file's grid that make up a coarser grid.

    Args:
        file: Metadata of the file.
        resolution: Number of points of the coarser grid along each axis.

    Raises:
        ValueError: if there is no such grid among the file's points.
    """
    grid = file.grid_shape
    stride = max(1, round(grid[0] / max(1, resolution[0])))
    if tuple(-(-n // stride) for n in grid) != tuple(resolution):
        grids = ", ".join(str([-(-n // every) for n in grid]) for every in range(1, 5))
        folder = file.path.parents[2].name
        raise ValueError(
            f"there are no data at the resolution {list(resolution)}: the files of {folder} hold every n-th point of "
            f"their grid, {grids} and so on"
        )
    return stride


def scalar_tables(files: Sequence[WellFile], names: Sequence[str]) -> list[Tensor]:
    """Return the scalars of each trajectory of each file, ``(trajectory, scalar)``, all in the finest precision."""
    tables = [_scalar_table(file, names) for file in files]
    dtype = reduce(torch.promote_types, (table.dtype for table in tables))
    return [table.to(dtype) for table in tables]


def _scalar_table(file: WellFile, names: Sequence[str]) -> Tensor:
    columns = [file.scalars[name] for name in names]
    return torch.from_numpy(np.stack(columns, axis=1)) if columns else torch.empty(file.n_trajectories, 0)
