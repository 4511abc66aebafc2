"""Read and check the metadata of a file in The Well's format."""

from __future__ import annotations

import itertools
from pathlib import Path

import h5py
import numpy as np

from fno_lightning.data.hdf5.boundaries import read_boundaries
from fno_lightning.data.hdf5.entry import Entry
from fno_lightning.data.hdf5.file import WellField, WellFile
from fno_lightning.data.hdf5.links import is_within, other_files
from fno_lightning.data.hdf5.opening import open_for_metadata
from fno_lightning.data.hdf5.points import Points
from fno_lightning.data.hdf5.text import content_noun
from fno_lightning.data.precision import batch_dtype


def read_well_file(path: str | Path) -> WellFile:
    """Read and check the metadata of a file; no field is read.

    Raises:
        FileNotFoundError: if there is no such file.
        WellFormatError: if the file is not a complete HDF5 file in The Well's format.
    """
    path = Path(path)
    with open_for_metadata(path) as root:
        n_trajectories = root.integer("n_trajectories")
        dimensions = root.group("dimensions")
        axes = dimensions.names("spatial_dims")
        n_dims = root.integer("n_spatial_dims")
        if len(axes) != n_dims:
            raise root.error(
                f"says that n_spatial_dims is {n_dims}, but /dimensions names the axes {axes}: correct one of them"
            )
        points = {name: read_points(dimensions, name, n_trajectories) for name in ("time", *axes)}
        time = points["time"].rows[0]
        coordinates = tuple(points[axis].rows[0] for axis in axes)
        full_shape = (n_trajectories, len(time), *map(len, coordinates))
        scalars, time_varying_scalars = _scalars(root.group("scalars"), n_trajectories)
        return WellFile(
            path=path,
            dataset_name=root.text("dataset_name"),
            source=root.text("source") if "source" in root.handle.attrs else None,
            n_trajectories=n_trajectories,
            time=time,
            axes=axes,
            coordinates=coordinates,
            points=points,
            boundaries=read_boundaries(root.group("boundary_conditions"), dict(zip(axes, full_shape[2:], strict=True))),
            fields=tuple(field for order in range(3) for field in _fields(root, order, axes, full_shape)),
            scalars=scalars,
            time_varying_scalars=time_varying_scalars,
        )


def read_points(dimensions: Entry, name: str, n_trajectories: int) -> Points:
    """Read times, or the coordinates of an axis, of each trajectory if the file has them for each.

    Raises:
        EntryError: if there are none, or they are not one finite value for each point.
    """
    entry = dimensions.dataset(name)
    values = entry.finite_values()
    if values.ndim == 2 and entry.flag("sample_varying"):
        entry.check_shape((n_trajectories, values.shape[1]))
    elif values.ndim != 1:
        raise entry.error(f"has the shape {entry.shape}, expected one value for each point")
    if values.size == 0:
        raise entry.error(f"has the shape {entry.shape}, expected one value for each point")
    return Points.of_values(values, entry.handle.dtype)


def read_field(entry: Entry, order: int, axes: tuple[str, ...], full_shape: tuple[int, ...]) -> WellField:
    """Read the flags and the shape of a field.

    Args:
        entry: The field's data set.
        order: Its tensor order.
        axes: Name of each spatial axis of the file.
        full_shape: Number of trajectories, of frames and of points along each axis.

    Raises:
        EntryError: if they do not fit each other, or the values are not real numbers.
    """
    dim_varying = entry.flags("dim_varying")
    if len(dim_varying) != len(axes):
        raise entry.error(f"has {len(dim_varying)} entries in dim_varying for the axes {axes}")
    sample_varying, time_varying = entry.flag("sample_varying"), entry.flag("time_varying")
    varying = (sample_varying, time_varying, *dim_varying)
    grid = tuple(n if varies else 1 for n, varies in zip(full_shape[2:], dim_varying, strict=True))
    dropped = tuple(n for n, varies in zip(full_shape, varying, strict=True) if varies)
    kept = (*dropped[: sample_varying + time_varying], *grid)
    components = (len(axes),) * order
    entry.check_shape((*dropped, *components), (*kept, *components))
    name = entry.location.rpartition("/")[-1]
    suffixes = ["".join(indices) for indices in itertools.product(axes, repeat=order)]
    return WellField(
        name=name,
        order=order,
        components=tuple(f"{name}_{suffix}" for suffix in suffixes) if order else (name,),
        shape=entry.shape,
        sample_varying=sample_varying,
        time_varying=time_varying,
        grid=grid,
        dtype=entry.handle.dtype,
        offset=_offset(entry),
        elsewhere=tuple(other_files(entry.handle, entry.path)),
    )


def _fields(root: Entry, order: int, axes: tuple[str, ...], full_shape: tuple[int, ...]) -> list[WellField]:
    group = root.group(f"t{order}_fields")
    return [read_field(group.dataset(name), order, axes, full_shape) for name in group.names("field_names")]


def _offset(entry: Entry) -> int | None:
    """Return the position of the values in the file, if they may be read without the HDF5 library."""
    dtype = entry.handle.dtype
    if dtype.kind not in "fiub":
        raise entry.error(f"holds {content_noun(dtype)}, expected real numbers")
    low = entry.handle.id
    is_plain = (
        low.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS
        and not entry.handle.external
        and low.get_space_status() == h5py.h5d.SPACE_STATUS_ALLOCATED
        and low.get_type() == h5py.h5t.py_create(dtype)  # h5py widens some types of other tools as it reads them
        and dtype.isnative
        and dtype.itemsize <= 8  # long double is checked as it is rounded
    )
    position: int | None = low.get_offset() if is_plain and is_within(entry.handle, entry.path) else None
    return position


def _scalars(group: Entry, n_trajectories: int) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
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
        dtype = batch_dtype([entry.handle.dtype])
        constant[name] = np.broadcast_to(values.reshape(-1), (n_trajectories,)).astype(dtype)
    return constant, tuple(time_varying)
