"""Check files of meshes: whether each can be read, and whether all have the same values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fno_lightning.check.report import Issue
from fno_lightning.data.clouds import PointCloud, read_mesh
from fno_lightning.data.clouds.meshes import MeshError, NoValuesError
from fno_lightning.data.mesh import ENDINGS


def mesh_files(path: Path) -> list[Path]:
    """Return the meshes at a path: the file, or those in a folder and its folders."""
    found = [path] if path.is_file() else sorted(path.rglob("*"))
    return [file for file in found if file.suffix.lower() in ENDINGS]


def check_meshes(files: Sequence[Path]) -> list[Issue]:
    """Check meshes: values, of points or of cells, that are finite, proper cells, the same names in all.

    Args:
        files: Files of meshes.
    """
    issues = []
    first: PointCloud | None = None
    for file in files:
        try:
            cloud = _read(file)
        except MeshError as error:
            issues.append(Issue(file, "/", "error", str(error).removeprefix(f"{file}").lstrip(": ")))
            continue
        first = first or cloud
        for kind, names, others in (
            ("values", list(cloud.fields), list(first.fields)),
            ("coordinates", cloud.positions.shape[1], first.positions.shape[1]),
        ):
            if names != others:
                issues.append(Issue(file, "/", "error", f"has the {kind} {names}, but {first.name} has {others}"))
    return issues


def _read(file: Path) -> PointCloud:
    try:
        return read_mesh(file)
    except NoValuesError:
        try:
            return read_mesh(file, location="cells")
        except NoValuesError:
            pass
        raise
