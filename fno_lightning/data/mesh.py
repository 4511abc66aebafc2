"""Data module of meshes in files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from fno_lightning.arguments import plain, require_list
from fno_lightning.data.base import NotPreparedError
from fno_lightning.data.batch import Split
from fno_lightning.data.clouds import MeshError, PointCloud, read_mesh
from fno_lightning.data.clouds.meshes import Location
from fno_lightning.data.point_clouds import CloudDataModule
from fno_lightning.files import PathText, expanded_path

ENDINGS = (".vtu", ".vtk", ".msh", ".stl", ".ply", ".obj", ".xdmf", ".med", ".inp", ".off")
"""Endings of the files that are taken for meshes."""


class MeshDataModule(CloudDataModule):
    """Meshes with values, or point clouds, in files that meshio reads: VTK, VTU, gmsh, STL and others.

    ``<folder>/{train,valid,test}`` hold a file for each sample. A trajectory is a folder with a file for each frame, in
    the order of their names; all frames have the same points. See :func:`~fno_lightning.data.clouds.read_mesh` for the
    weights of the points, and where values may lie.

    Args:
        folder: Folder of the splits.
        fields: Names of the fields to be predicted, vectors as a whole; ``None``: all but the constant ones.
        constant_fields: Names of the fields that are given.
        scalars: Names of the parameters, in the files' field data or beside them.
        location: Whether the values are those of the ``points`` or of the ``cells``.
        check_cells: Whether degenerate and inverted cells are an error.
        dataset_name: Name of the data set; ``None``: that of the folder.
        **options: Windows, padding and loaders, see :class:`CloudDataModule`.

    Raises:
        FileNotFoundError: when the data are read, if there are no files.
        MeshError: when the data are read, if a file is no mesh with the values that are asked for; see ``read_mesh``.
        ImportError: when the data are read, if meshio is not installed: ``pip install 'fno_lightning[mesh]'``.
    """

    def __init__(
        self,
        folder: PathText,
        *,
        fields: Sequence[str] | None = None,
        constant_fields: Sequence[str] = (),
        scalars: Sequence[str] = (),
        location: Location = "points",
        check_cells: bool = True,
        dataset_name: str | None = None,
        **options: Any,
    ) -> None:
        self.folder = expanded_path(folder, "folder of MeshDataModule")
        super().__init__(dataset_name or self.folder.name, **options)
        require_list(fields=fields, constant_fields=constant_fields, scalars=scalars)
        if location not in ("points", "cells"):
            raise ValueError(f"location is {location!r}, expected 'points' or 'cells'")
        self.read_options: dict[str, Any] = {
            "fields": plain(fields, "fields"),
            "constant_fields": plain(list(constant_fields), "constant_fields"),
            "scalars": plain(list(scalars), "scalars"),
            "location": location,
            "check_cells": check_cells,
        }

    def _reset(self) -> None:
        super()._reset()
        self._clouds: dict[Split, list[PointCloud]] = {}

    @property
    def source(self) -> str:
        """Where the data are from."""
        return str(self.folder)

    def clouds(self, split: Split) -> Sequence[PointCloud]:
        """Read the samples of a split, once."""
        if split not in self._clouds:
            root = self.folder / split
            entries = sorted(path for path in root.glob("*") if path.is_dir() or path.suffix.lower() in ENDINGS)
            if not entries:
                raise NotPreparedError(
                    f"no meshes in {root}: expected files that end in {', '.join(ENDINGS)}, one for each sample, or "
                    "folders of them, one for each trajectory"
                )
            self._clouds[split] = [self._cloud(path) for path in entries]
        return self._clouds[split]

    def _cloud(self, path: Path) -> PointCloud:
        if not path.is_dir():
            return read_mesh(path, **self.read_options)
        frames = [
            read_mesh(file, **self.read_options) for file in sorted(path.iterdir()) if file.suffix.lower() in ENDINGS
        ]
        if not frames:
            raise NotPreparedError(f"no meshes in the folder {path} of a trajectory")
        first = frames[0]
        for frame in frames[1:]:
            if not torch.equal(frame.positions, first.positions) or set(frame.fields) != set(first.fields):
                raise MeshError(f"{frame.name} has other points or fields than {first.name}, of the same trajectory")
        fields = {name: torch.stack([frame.fields[name] for frame in frames]) for name in first.fields}
        return replace(first, fields=fields, name=str(path))
