"""Files of NumPy, PDEBench and neuralop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from fno_lightning.data.importing.arrays import COMPONENT, TIME, TRAJECTORY, Arrays, matching_dims

_AXES = ("x", "y", "z")
_TIMES = ("time", "t", "times")


def read_arrays(path: Path, dims: Sequence[str] | None = None, names: Sequence[str] | None = None) -> Arrays:
    """Read a file.

    Args:
        path: A ``.npy`` or ``.npz`` file, one of PDEBench (``.h5``, ``.hdf5``), or one of neuralop (``.pt``).
        dims: Names of the axes of its arrays, without the time for those that have none; ``None``: the file tells.
        names: Name of the array of an ``.npy`` file, or of each of its components.

    Raises:
        ValueError: if the file is of none of these formats, or does not say what its axes are.
    """
    readers = {".npy": _npy, ".npz": _npz, ".h5": _pdebench, ".hdf5": _pdebench, ".pt": _neuralop}
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if path.suffix not in readers:
        raise ValueError(f"{path} is none of {', '.join(readers)}: save it as .npz with one array for each field")
    try:
        return readers[path.suffix](path, dims, names)
    except (OSError, EOFError, ValueError) as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path} cannot be read: {error}") from error


def _npy(path: Path, dims: Sequence[str] | None, names: Sequence[str] | None) -> Arrays:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if dims is None:
        raise ValueError(
            f"{path} has an array of the shape {array.shape}: name its axes, as --dims trajectory,time,x,y, and "
            "component for one that holds several fields"
        )
    own = tuple(dims)
    names = list(names or [path.stem])
    if COMPONENT in own and len(own) == array.ndim:
        axis = own.index(COMPONENT)
        if len(names) != array.shape[axis]:
            raise ValueError(
                f"{path} has {array.shape[axis]} components, but --names has {len(names)}: give one for each"
            )
        parts = {name: array.take(i, axis) for i, name in enumerate(names)}
        own = tuple(dim for dim in own if dim != COMPONENT)
        return Arrays(parts, dict.fromkeys(parts, own), source=str(path))
    if len(names) != 1:
        raise ValueError(f"{path} has one array, but --names has {len(names)}: name the axis of its components")
    return Arrays({names[0]: array}, {names[0]: own}, source=str(path))


def _npz(path: Path, dims: Sequence[str] | None, names: Sequence[str] | None) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        content = {name: file[name] for name in file.files}
    times = [name for name in _TIMES if name in content and content[name].ndim == 1]
    space = [name for name in (dims or _AXES) if name in content and content[name].ndim == 1 and name not in _TIMES]
    coordinates = dict(zip((TIME,), (content[name] for name in times), strict=False))
    coordinates |= {name: content[name] for name in space}
    rest = {name: array for name, array in content.items() if name not in (*times, *space)}
    scalars = {name: array for name, array in rest.items() if array.ndim <= 1}
    fields = {name: array for name, array in rest.items() if array.ndim > 1}
    if not fields:
        raise ValueError(f"{path} has no array with two axes or more, only {', '.join(sorted(content)) or 'nothing'}")
    known = {
        name: _own_dims(array, dims) if dims else matching_dims(array.shape, coordinates, f"{path}: {name}")
        for name, array in fields.items()
    }
    return Arrays(fields, known, coordinates, scalars, str(path))


def _own_dims(array: np.ndarray, dims: Sequence[str]) -> tuple[str, ...]:
    """Return the names of an array's axes: all, or without the time, or the components, or both."""
    candidates = [
        tuple(dims),
        tuple(dim for dim in dims if dim != TIME),
        tuple(dim for dim in dims if dim != COMPONENT),
        tuple(dim for dim in dims if dim not in (TIME, COMPONENT)),
    ]
    return next((one for one in candidates if len(one) == array.ndim), tuple(dims))


def _neuralop(path: Path, dims: Sequence[str] | None, names: Sequence[str] | None) -> Arrays:
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise ValueError(f"{path} holds a {type(content).__name__}, expected tensors by name, as x and y of neuralop")
    arrays = {str(name): _numbers(tensor) for name, tensor in content.items()}
    known: dict[str, tuple[str, ...]] = {}
    for name, array in list(arrays.items()):
        if dims is None and array.ndim >= 3 and array.shape[1] == 1:  # a channel
            array = arrays[name] = array[:, 0]
        known[name] = _own_dims(array, dims) if dims else (TRAJECTORY, *_AXES[: array.ndim - 1])
    return Arrays(arrays, known, source=str(path))


def _numbers(tensor: torch.Tensor) -> np.ndarray:
    array: np.ndarray = (tensor.float() if tensor.dtype in (torch.bool, torch.bfloat16) else tensor).numpy()
    return array


def _pdebench(path: Path, dims: Sequence[str] | None, names: Sequence[str] | None) -> Arrays:
    with h5py.File(path, "r") as file:
        groups = [name for name in file if isinstance(file[name], h5py.Group) and "data" in file[name]]
        if groups:
            return _by_groups(path, file, sorted(groups), names)
        coordinates = _coordinates(file)
        fields = {
            name: np.asarray(item)
            for name, item in file.items()
            if isinstance(item, h5py.Dataset) and item.ndim > 1 and not name.endswith("-coordinate")
        }
        scalars = {name: np.asarray(value) for name, value in file.attrs.items() if _is_number(value)}
    if not fields:
        raise ValueError(f"{path} has no fields of PDEBench: tensor, or density, pressure, Vx and so on")
    known: dict[str, tuple[str, ...]] = {}
    steady = "tensor" in fields and "nu" in fields  # Darcy: a solution with one frame, and what is given
    for name, array in list(fields.items()):
        if steady and name == "tensor":
            array = fields[name] = array[:, 0]
        space = _AXES[: array.ndim - (1 if steady else 2)]
        known[name] = tuple(dims) if dims else (TRAJECTORY, *(() if steady else (TIME,)), *space)
    return Arrays(fields, known, coordinates, scalars, str(path))


def _by_groups(path: Path, file: h5py.File, groups: Sequence[str], names: Sequence[str] | None) -> Arrays:
    """Read one trajectory from each group: ``data`` of ``(time, *grid, component)``, and its ``grid``."""
    data = np.stack([np.asarray(file[group]["data"]) for group in groups])
    names = list(names or ([f"field_{i}" for i in range(data.shape[-1])] if data.shape[-1] > 1 else ["field"]))
    if len(names) != data.shape[-1]:
        raise ValueError(f"{path} has {data.shape[-1]} components, but --names has {len(names)}: give one for each")
    grid = file[groups[0]].get("grid", {})
    coordinates = {TIME if name in _TIMES else name: np.asarray(grid[name]) for name in grid}
    fields = {name: data[..., i] for i, name in enumerate(names)}
    dims = (TRAJECTORY, TIME, *_AXES[: data.ndim - 3])
    return Arrays(fields, dict.fromkeys(fields, dims), coordinates, source=str(path))


def _coordinates(file: h5py.File) -> dict[str, np.ndarray]:
    found = {name.removesuffix("-coordinate"): np.asarray(file[name]) for name in file if name.endswith("-coordinate")}
    return {TIME if name in _TIMES else name: points for name, points in found.items()}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
