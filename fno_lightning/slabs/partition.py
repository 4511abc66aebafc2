"""The parts of an axis, one for each process of a group."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh


@dataclass(frozen=True)
class Slabs:
    """One axis of the grid in consecutive slabs, one on each process of a group, and the place of this process.

    Args:
        mesh: The processes, ``(data, slab)``; those of a row hold the slabs of the same samples.
        axis: Number of the axis that is split, among the axes of the grid.
        sizes: Points of each slab.

    Raises:
        ValueError: if there is not one size for each process of a group, or a slab has no points.
    """

    mesh: DeviceMesh
    axis: int
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        n_slabs = self.mesh.size(1)
        if len(self.sizes) != n_slabs or min(self.sizes) < 1:
            raise ValueError(
                f"axis {self.axis} is split over {n_slabs} processes, but the slabs have {list(self.sizes)} points: "
                "give each process at least one point"
            )

    @property
    def group(self) -> dist.ProcessGroup:
        """The processes that hold the slabs of the same samples."""
        return self.mesh.get_group("slab")

    @property
    def rank(self) -> int:
        """Number of the slab of this process."""
        return self.mesh.get_local_rank("slab")

    @property
    def data_rank(self) -> int:
        """Number of the group of this process, among those that hold different samples."""
        return self.mesh.get_local_rank("data")

    @property
    def n_data(self) -> int:
        """Number of groups."""
        return self.mesh.size(0)

    @property
    def n_slabs(self) -> int:
        """Number of slabs."""
        return len(self.sizes)

    @property
    def size(self) -> int:
        """Points of the slab of this process."""
        return self.sizes[self.rank]

    @property
    def n_points(self) -> int:
        """Points of the whole axis."""
        return sum(self.sizes)

    @property
    def points(self) -> tuple[int, int]:
        """First point of the slab of this process, and the point after its last."""
        first = sum(self.sizes[: self.rank])
        return first, first + self.size

    @property
    def is_first(self) -> bool:
        """Whether the axis begins in the slab of this process."""
        return self.rank == 0

    @property
    def is_last(self) -> bool:
        """Whether the axis ends in the slab of this process."""
        return self.rank == self.n_slabs - 1

    def padded(self, width: int) -> Slabs:
        """Return the slabs of the axis with so many points more at both of its ends."""
        sizes = list(self.sizes)
        sizes[0] += width
        sizes[-1] += width
        return replace(self, sizes=tuple(sizes))


def even_sizes(n_points: int, n_slabs: int) -> tuple[int, ...]:
    """Return the points of each slab of an axis; they differ by one at most.

    >>> even_sizes(10, 4)
    (3, 3, 2, 2)
    """
    return tuple(n_points // n_slabs + (slab < n_points % n_slabs) for slab in range(n_slabs))


def slab_mesh(n_slabs: int, device_type: str) -> DeviceMesh:
    """Return all processes as groups of so many, which must be neighbours in rank: those of a machine, if it has room.

    Args:
        n_slabs: Processes of a group.
        device_type: Type of the devices, for instance ``cuda``.

    Raises:
        ValueError: if the number of processes is no multiple of it.
    """
    n_processes = dist.get_world_size()
    if n_slabs < 1 or n_processes % n_slabs:
        raise ValueError(
            f"n_slabs={n_slabs} does not divide the {n_processes} processes of the run: each group of processes that "
            "hold one field needs as many as there are slabs"
        )
    return init_device_mesh(device_type, (n_processes // n_slabs, n_slabs), mesh_dim_names=("data", "slab"))
