"""Point clouds from files of meshes: VTK, VTU, gmsh, STL and what else meshio reads."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from fno_lightning.data.clouds.cells import SIMPLICES, Array, CellError, cell_dimension, cell_sizes, point_weights
from fno_lightning.data.clouds.cloud import AXES, PointCloud

Location: TypeAlias = Literal["points", "cells"]
"""Where the values of a mesh lie."""

FACET_NORMALS = "facet_normals"
"""Name that meshio gives the normals in an STL file, which are part of the geometry."""


class MeshError(ValueError):
    """Error for a mesh that no sample can be made of; names the file."""


class NoValuesError(MeshError):
    """Error for a mesh without values where they were looked for."""


def read_mesh(
    path: Path,
    *,
    fields: Sequence[str] | None = None,
    constant_fields: Sequence[str] = (),
    scalars: Sequence[str] = (),
    location: Location = "points",
    check_cells: bool = True,
) -> PointCloud:
    """Read a mesh with its values.

    A point weighs what it has of the cells with the most dimensions, equal parts for the corners of each; points that
    belong to none of them are left out. Values in the cells lie in the mean of their corners, which weigh the cell's
    measure. Points without cells weigh alike. A coordinate that is the same for all points is left out.

    A file beside the mesh with the ending ``.npz`` may hold values and parameters that its format cannot, by name, such
    as those of an STL surface.

    Args:
        path: File of the mesh.
        fields: Names of the fields to be predicted, vectors as a whole; ``None``: all but the constant ones.
        constant_fields: Names of the fields that are given.
        scalars: Names of the parameters, in the file's field data or beside it.
        location: Whether the values are those of the points or of the cells.
        check_cells: Whether degenerate and inverted cells are an error.

    Raises:
        MeshError: if the file cannot be read, has no values or not those that are named, a value or a coordinate is not
            finite, or a cell is degenerate or inverted.
        ImportError: if meshio is not installed.
    """
    mesh = _read(path)
    points, cells = np.asarray(mesh.points, dtype=np.float64), _largest_cells(mesh, path)
    if not np.isfinite(points).all():
        raise MeshError(f"{path} has points whose coordinates are NaN or infinite")
    if len(points) == 0:
        raise MeshError(f"{path} has no points")
    points = points[:, np.ptp(points, axis=0) > 0] if len(points) > 1 else points
    beside = _beside(path)
    values = _values(mesh, path, cells, location, {name: part for name, part in beside.items() if part.ndim > 0})
    parameters = {**mesh.field_data, **{name: part for name, part in beside.items() if part.ndim == 0}}
    try:
        kept, positions, weight = _placed(points, cells, location, check_cells=check_cells)
        named = {name: _components(name, part[kept], positions.shape[1]) for name, part in values.items()}
        constants = _chosen(named, constant_fields, path)
        names = [name for name in named if name not in (*constant_fields, FACET_NORMALS)] if fields is None else fields
        return PointCloud(
            positions=torch.from_numpy(positions),
            fields=_chosen(named, names, path),
            constant_fields=constants,
            scalars={name: _scalar(parameters, name, path) for name in scalars},
            weight=torch.from_numpy(weight),
            name=str(path),
        )
    except CellError as error:
        raise MeshError(f"{path}: {error}; check_cells=false takes the mesh as it is") from None
    except ValueError as error:
        raise error if isinstance(error, MeshError) else MeshError(str(error)) from None


def _read(path: Path) -> Any:
    try:
        import meshio
    except ImportError:
        message = "meshes are read by meshio, which is not installed: pip install 'fno_lightning[mesh]'"
        raise ImportError(message) from None
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # overflows where it guesses whether an STL file is binary
            return meshio.read(path)
    except (Exception, SystemExit) as error:  # meshio leaves the program where no reader takes the file
        cause = " ".join(f"{said.getvalue()} {error if isinstance(error, Exception) else ''}".split())
        raise MeshError(f"{path} cannot be read as a mesh: {cause}") from None


def _largest_cells(mesh: Any, path: Path) -> dict[str, Array]:
    """Return the cells with the most dimensions, by kind."""
    kinds: dict[str, list[Array]] = {}
    for block in mesh.cells:
        if block.type != "vertex":
            kinds.setdefault(block.type, []).append(block.data)
    if unknown := sorted(set(kinds) - set(SIMPLICES)):
        raise MeshError(
            f"{path} has cells of the kinds {unknown}, expected some of {list(SIMPLICES)}: convert the mesh"
        )
    most = max(map(cell_dimension, kinds), default=0)
    return {kind: np.concatenate(blocks) for kind, blocks in kinds.items() if cell_dimension(kind) == most}


def _beside(path: Path) -> dict[str, Array]:
    """Return what the file beside a mesh holds, if there is one."""
    beside = path.with_suffix(".npz")
    if not beside.is_file():
        return {}
    with np.load(beside) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _values(
    mesh: Any, path: Path, cells: Mapping[str, Array], location: Location, beside: Mapping[str, Array]
) -> dict[str, Array]:
    """Return the values by name, those of the cells in the order of the kinds, in float32 or float64."""
    found: dict[str, Array] = {}
    if location == "points":
        found = {name: np.asarray(values) for name, values in mesh.point_data.items()}
    else:
        for name, by_kind in mesh.cell_data_dict.items():
            if set(cells) <= set(by_kind):
                found[name] = np.concatenate([by_kind[kind] for kind in cells])
    found = {name: values for name, values in found.items() if not name.startswith("gmsh:")} | dict(beside)
    n = len(mesh.points) if location == "points" else sum(map(len, cells.values()))
    if wrong := {name: values.shape for name, values in found.items() if values.shape[:1] != (n,)}:
        raise MeshError(f"values of {path} must have one row for each of the {n} {location}, got the shapes {wrong}")
    if set(found) <= {FACET_NORMALS}:
        other = "cells" if location == "points" else "points"
        has_other = bool(mesh.cell_data if location == "points" else mesh.point_data)
        remedy = (
            f"location={other} takes those of the {other}" if has_other else f"add some, or {path.stem}.npz beside it"
        )
        raise NoValuesError(f"{path} has no values in its {location}: {remedy}")
    kinds = {name: np.float32 if values.dtype == np.float32 else np.float64 for name, values in found.items()}
    return {name: values.astype(kinds[name]) for name, values in found.items()}  # in this machine's order of bytes


def _placed(
    points: Array, cells: Mapping[str, Array], location: Location, *, check_cells: bool
) -> tuple[Array, Array, Array]:
    """Return which rows of values are kept, and the positions and weights of these."""
    if location == "cells":
        if not cells:
            raise CellError("there are no cells, whose values were asked for")
        positions = np.concatenate([points[corners].mean(axis=1) for corners in cells.values()])
        weight = np.concatenate(
            [cell_sizes(points, kind, corners, must_be_proper=check_cells) for kind, corners in cells.items()]
        )
        return np.arange(len(positions)), positions, weight
    if not cells:
        return np.arange(len(points)), points, np.ones(len(points))
    weight = point_weights(points, cells, must_be_proper=check_cells)
    kept = np.unique(np.concatenate([corners.ravel() for corners in cells.values()]))
    return kept, points[kept], weight[kept]


def _components(name: str, values: Array, n_dims: int) -> dict[str, Tensor]:
    """Return the components of a field by name."""
    columns = torch.from_numpy(np.ascontiguousarray(values)).reshape(len(values), -1).unbind(dim=1)
    if len(columns) == 1:
        return {name: columns[0]}
    if len(columns) == len(AXES) > n_dims and not columns[-1].any():
        columns = columns[:n_dims]  # formats pad vectors of a plane with a zero
    ends = AXES if len(columns) <= len(AXES) else [str(i) for i in range(len(columns))]
    return {f"{name}_{end}": column for end, column in zip(ends, columns, strict=False)}


def _chosen(values: Mapping[str, Mapping[str, Tensor]], names: Sequence[str], path: Path) -> dict[str, Tensor]:
    if missing := [name for name in names if name not in values]:
        raise MeshError(f"{path} has no values {missing}, but {sorted(values)}")
    return {component: column for name in names for component, column in values[name].items()}


def _scalar(parameters: Mapping[str, Any], name: str, path: Path) -> float:
    if name not in parameters:
        raise MeshError(f"{path} has no scalar {name!r} in its field data, but {sorted(parameters)}")
    return float(np.ravel(parameters[name])[0])
