"""Write trajectories in The Well's format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from fno_lightning.data.finite import all_finite
from fno_lightning.files import atomic_file
from fno_lightning.pdes import Trajectories


def trajectory_bytes(trajectories: Trajectories) -> int:
    """Return the size on disk of the trajectories' fields, in bytes."""
    groups = (trajectories.scalar_fields, trajectories.vector_fields, trajectories.constant_fields)
    return sum(field.numel() * _stored_dtype(field).itemsize for group in groups for field in group.values())


def n_trajectories(trajectories: Trajectories) -> int:
    """Return the number of trajectories."""
    fields = [*trajectories.scalar_fields.values(), *trajectories.vector_fields.values()]
    return len(fields[0])


def write_well_file(
    path: str | Path,
    trajectories: Trajectories,
    *,
    dataset_name: str,
    grid_type: str = "cartesian",
    provenance: Mapping[str, str] = {},
    must_be_finite: bool = True,
) -> None:
    """Write one file, which the_well's own reader opens, completely or not at all.

    Args:
        path: The file; an older one is replaced.
        trajectories: The trajectories; stored in one piece for each field, as float64 where they are float64, or
            integers that float32 does not hold exactly, else as float32.
        dataset_name: Name of the data set that the file is a part of.
        grid_type: Kind of coordinates, such as ``cartesian``, ``spherical`` or ``equiangular``.
        provenance: Origin of the data, one root attribute each; ``source`` is shown to people.
        must_be_finite: Whether fields that are not finite are refused; forecasts may have diverged.

    Raises:
        ValueError: if something is not finite, or complex; names it.
        OSError: if the file cannot be written, for instance on a full disk; names it, its size and the free space.
    """
    _require_numbers(trajectories, Path(path), must_be_finite)
    n_bytes = trajectory_bytes(trajectories)
    with atomic_file(Path(path), n_bytes) as temporary:
        try:
            with h5py.File(temporary, "w") as file:
                _write_root(file, trajectories, dataset_name, grid_type, provenance)
                _write_dimensions(file.create_group("dimensions"), trajectories)
                _write_boundaries(file.create_group("boundary_conditions"), trajectories)
                _write_scalars(file.create_group("scalars"), trajectories)
                _write_fields(file, trajectories)
        except RuntimeError as error:  # how h5py reports a failure to flush while it closes
            raise OSError(str(error)) from error


def _write_root(
    file: h5py.File, trajectories: Trajectories, dataset_name: str, grid_type: str, provenance: Mapping[str, str]
) -> None:
    constants = {name: float(value) for name, value in trajectories.scalars.items() if value.ndim == 0}
    file.attrs["dataset_name"] = dataset_name
    file.attrs["grid_type"] = grid_type
    file.attrs["n_spatial_dims"] = len(trajectories.coordinates)
    file.attrs["n_trajectories"] = n_trajectories(trajectories)
    file.attrs["simulation_parameters"] = _names(constants)
    file.attrs.update(constants)
    file.attrs.update(provenance)


def _write_dimensions(group: h5py.Group, trajectories: Trajectories) -> None:
    group.attrs["spatial_dims"] = _names(trajectories.coordinates)
    for name, values in {"time": trajectories.time, **trajectories.coordinates}.items():
        dataset = group.create_dataset(name, data=_stored(values))
        dataset.attrs["sample_varying"] = False
        dataset.attrs["time_varying"] = name == "time"


def _write_boundaries(group: h5py.Group, trajectories: Trajectories) -> None:
    """Write one group for each axis and kind of condition, its mask true where the condition holds."""
    for axis, sides in trajectories.boundaries.items():
        for kind in dict.fromkeys(sides):
            mask = np.zeros(len(trajectories.coordinates[axis]), dtype=bool)
            mask[0], mask[-1] = (side == kind for side in sides)
            condition = group.create_group(f"{axis}_{kind}")
            condition.attrs["associated_dims"] = _names([axis])
            condition.attrs["associated_fields"] = _names([])
            condition.attrs["bc_type"] = kind.upper()
            condition.attrs["sample_varying"] = False
            condition.attrs["time_varying"] = False
            condition.create_dataset("mask", data=mask)


def _write_scalars(group: h5py.Group, trajectories: Trajectories) -> None:
    group.attrs["field_names"] = _names(trajectories.scalars)
    for name, value in trajectories.scalars.items():
        dataset = group.create_dataset(name, data=_stored(value))
        dataset.attrs["sample_varying"] = value.ndim == 1
        dataset.attrs["time_varying"] = False


def _write_fields(file: h5py.File, trajectories: Trajectories) -> None:
    scalar_fields = {**trajectories.scalar_fields, **trajectories.constant_fields}
    for order, fields in enumerate((scalar_fields, trajectories.vector_fields, {})):
        group = file.create_group(f"t{order}_fields")
        group.attrs["field_names"] = _names(fields)
        for name, values in fields.items():
            dataset = group.create_dataset(name, data=_stored(values))
            dataset.attrs["sample_varying"] = True
            dataset.attrs["time_varying"] = name not in trajectories.constant_fields
            dataset.attrs["dim_varying"] = np.ones(len(trajectories.coordinates), dtype=bool)


def _names(names: object) -> np.ndarray:
    """Return a list of names as the attribute that readers expect, strings even if the list is empty."""
    return np.array(list(names), dtype=h5py.string_dtype())  # type: ignore[call-overload]


def _stored(values: Tensor) -> np.ndarray:
    array: np.ndarray = values.detach().to(_stored_dtype(values)).cpu().numpy()
    return array


def _stored_dtype(values: Tensor) -> torch.dtype:
    if values.is_floating_point() or values.dtype.itemsize <= 2:
        return torch.float64 if values.dtype == torch.float64 else torch.float32
    return torch.float32 if torch.equal(values, values.float().to(values.dtype)) else torch.float64


def _require_numbers(trajectories: Trajectories, path: Path, must_be_finite: bool) -> None:
    """Check everything that is to be written.

    Raises:
        ValueError: if something is not finite, or complex; names it.
    """
    axes = {"time": trajectories.time, **trajectories.coordinates, **trajectories.scalars}
    fields = {**trajectories.scalar_fields, **trajectories.vector_fields, **trajectories.constant_fields}
    for name, values in {**fields, **axes}.items():
        if values.is_complex():
            raise ValueError(f"'{name}' is complex, which {path} cannot hold: write real and imaginary part apart")
        if (must_be_finite or name in axes) and not all_finite(values):
            raise ValueError(f"'{name}' holds NaN or infinite values, expected finite ones: {path} is not written")
