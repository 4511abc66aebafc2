"""From what a file holds to what a data set is."""

from __future__ import annotations

from collections.abc import Sequence

from fno_lightning.data.spec import FieldSpec, cell_edges
from fno_lightning.data.well_file import WellFile


def file_spec(
    file: WellFile, *, fields: tuple[str, ...], time_step: float | None, source: str, grid_stride: int = 1
) -> FieldSpec:
    """Describes the data set that a file is a part of.

    Args:
        file: Metadata of the file.
        fields: Components of time-dependent fields that are used.
        time_step: Time between two steps; ``None`` for a steady problem.
        source: Where the data came from, for people to read.
        grid_stride: Distance between the grid points that are used.
    """
    coordinates = [points[::grid_stride] for points in file.coordinates]
    return FieldSpec(
        dataset_name=file.dataset_name,
        fields=fields,
        grid_shape=tuple(len(points) for points in coordinates),
        constant_fields=file.components(time_varying=False),
        scalars=tuple(file.scalars),
        axes=file.axes,
        extent=tuple(cell_edges(points.tolist()) for points in coordinates),
        boundaries=file.boundaries,
        time_step=None if time_step is None else float(f"{time_step:.7g}"),
        source=source,
    )


def matching_stride(file: WellFile, resolution: Sequence[int]) -> int:
    """Returns the distance between points of a file's grid that make up a coarser grid.

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
