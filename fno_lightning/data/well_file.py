"""What one file in The Well's format holds, read once."""

from __future__ import annotations

import itertools
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fno_lightning.data.hdf5_entry import Entry, WellFormatError, open_hdf5

__all__ = ["WellField", "WellFile", "WellFormatError"]


@dataclass(frozen=True)
class WellField:
    """A scalar, vector or tensor field of a file.

    Attributes:
        name: Name of the field, e.g. ``velocity``.
        order: Tensor order: 0 for a scalar, 1 for a vector, 2 for a tensor.
        components: Name of each component in row-major order, e.g. ``("velocity_x", "velocity_y")``.
        shape: Shape on disk, ``(trajectory, time, *grid, *component)`` without the axes along which nothing varies.
        sample_varying: Whether the trajectories differ.
        time_varying: Whether the field depends on time.
        dim_varying: Whether the field depends on each spatial axis.
        dtype: Data type on disk.
        offset: Position of the first value in the file if the values lie there as plain native numbers in one piece.
    """

    name: str
    order: int
    components: tuple[str, ...]
    shape: tuple[int, ...]
    sample_varying: bool
    time_varying: bool
    dim_varying: tuple[bool, ...]
    dtype: np.dtype
    offset: int | None

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
    """A file's metadata; constructed by :func:`read_well_file`.

    Attributes:
        path: The file.
        dataset_name: Name of the data set that it is a part of.
        source: Where the data came from, if the file says so.
        n_trajectories: Number of trajectories.
        time: Time of each frame, ``(n_frames,)``.
        axes: Name of each spatial axis.
        coordinates: Coordinates of the points along each axis (of the first trajectory, if they differ).
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

    def field(self, name: str) -> WellField:
        """Returns a field by its name."""
        return next(field for field in self.fields if field.name == name)

    def components(self, *, time_varying: bool) -> tuple[str, ...]:
        """Names of the components of all fields that depend on time, or of all those that do not."""
        selected = (field for field in self.fields if field.time_varying is time_varying)
        return tuple(component for field in selected for component in field.components)


def read_well_file(path: Path) -> WellFile:
    """Reads and checks the metadata of a file; no field is read.

    Raises:
        FileNotFoundError: if there is no such file.
        WellFormatError: if the file is not a complete HDF5 file in The Well's format.
    """
    with open_hdf5(path) as root:
        n_trajectories = root.integer("n_trajectories")
        dimensions = root.group("dimensions")
        axes = dimensions.names("spatial_dims")
        n_dims = root.integer("n_spatial_dims")
        if len(axes) != n_dims:
            raise WellFormatError(f"{path}: n_spatial_dims is {n_dims}, but /dimensions names the axes {axes}")
        time = _coordinates(dimensions, "time", n_trajectories)
        coordinates = tuple(_coordinates(dimensions, axis, n_trajectories) for axis in axes)
        extents = dict(
            zip(("trajectory", "time", *axes), (n_trajectories, len(time), *map(len, coordinates)), strict=True)
        )
        scalars, time_varying_scalars = _scalars(root.group("scalars"), n_trajectories, len(time))
        return WellFile(
            path=path,
            dataset_name=root.text("dataset_name"),
            source=root.text("source") if "source" in root.handle.attrs else None,
            n_trajectories=n_trajectories,
            time=time,
            axes=axes,
            coordinates=coordinates,
            boundaries=_boundaries(root.group("boundary_conditions"), axes),
            fields=tuple(field for order in range(3) for field in _fields(root, order, axes, extents)),
            scalars=scalars,
            time_varying_scalars=time_varying_scalars,
        )


def _coordinates(dimensions: Entry, name: str, n_trajectories: int) -> np.ndarray:
    entry = dimensions.dataset(name)
    values = entry.finite_values()
    if values.ndim == 2 and entry.flag("sample_varying"):
        entry.check_shape((n_trajectories, values.shape[1]))
        values = values[0]
    if values.ndim != 1 or values.size == 0:
        raise WellFormatError(f"{entry.where} has the shape {entry.shape}, expected one value for each point")
    return values


def _fields(root: Entry, order: int, axes: tuple[str, ...], extents: dict[str, int]) -> list[WellField]:
    group = root.group(f"t{order}_fields")
    suffixes = ["".join(indices) for indices in itertools.product(axes, repeat=order)]
    fields = []
    for name in group.names("field_names"):
        entry = group.dataset(name)
        dim_varying = tuple(bool(flag) for flag in np.atleast_1d(entry.attribute("dim_varying")))
        if len(dim_varying) != len(axes):
            raise WellFormatError(f"{entry.where}: dim_varying has {len(dim_varying)} entries for the axes {axes}")
        sample_varying, time_varying = entry.flag("sample_varying"), entry.flag("time_varying")
        stored = zip(extents.values(), (sample_varying, time_varying, *dim_varying), strict=True)
        entry.check_shape((*(n for n, varies in stored if varies), *(len(axes),) * order))
        fields.append(
            WellField(
                name=name,
                order=order,
                components=tuple(f"{name}_{suffix}" for suffix in suffixes) if order else (name,),
                shape=entry.shape,
                sample_varying=sample_varying,
                time_varying=time_varying,
                dim_varying=dim_varying,
                dtype=entry.handle.dtype,
                offset=_offset(entry),
            )
        )
    return fields


def _offset(entry: Entry) -> int | None:
    """Position of the values, where a positioned read may stand in for the HDF5 library."""
    dtype = entry.handle.dtype
    if dtype.kind != "f":
        raise WellFormatError(f"{entry.where} holds values of type {dtype}, expected real floating-point numbers")
    is_plain = hasattr(os, "preadv") and dtype.isnative
    return entry.handle.id.get_offset() if is_plain else None


def _scalars(group: Entry, n_trajectories: int, n_frames: int) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    constant: dict[str, np.ndarray] = {}
    time_varying: list[str] = []
    for name in group.names("field_names"):
        entry = group.dataset(name)
        if entry.flag("time_varying"):
            time_varying.append(name)
            continue
        values = entry.finite_values()
        if entry.flag("sample_varying"):
            entry.check_shape((n_trajectories,))
        elif values.size != 1:
            entry.check_shape(())
        constant[name] = np.broadcast_to(values.reshape(-1), (n_trajectories,)).astype(np.float32)
    return constant, tuple(time_varying)


def _boundaries(group: Entry, axes: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Condition of each side: open unless stated; a side is a wall only if all of it is."""
    sides = {axis: ["open", "open"] for axis in axes}
    for name in group.handle:
        condition = group.group(name)
        kind = condition.text("bc_type").lower()
        if kind not in ("periodic", "wall", "open"):
            raise WellFormatError(f"{condition.where}: bc_type is '{kind}', expected PERIODIC, WALL or OPEN")
        dims = condition.names("associated_dims")
        mask = np.asarray(condition.dataset("mask").handle[()], dtype=bool)
        if not set(dims) <= set(axes) or mask.ndim < len(dims):
            raise WellFormatError(
                f"{condition.where}: associated_dims {dims} and the mask's shape {mask.shape} do not fit the axes {axes}"
            )
        mask = mask.reshape(-1, *mask.shape[mask.ndim - len(dims) :])[0]
        for index, dim in enumerate(dims):
            for side, position in ((0, 0), (1, -1)):
                edge = mask.take(position, axis=index)
                if edge.all() if kind == "wall" else edge.any():
                    sides[dim][side] = kind
    return tuple((lower, upper) for lower, upper in sides.values())
