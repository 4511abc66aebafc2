"""Fields that are split over processes: where this process is, and what it exchanges with the others."""

from fno_lightning.slabs.active import active_slabs, own_points, split_fields, whole_fields, whole_grid
from fno_lightning.slabs.collectives import gather, halo, largest, stack, total
from fno_lightning.slabs.partition import Slabs, even_sizes, slab_mesh

__all__ = [
    "Slabs",
    "active_slabs",
    "even_sizes",
    "gather",
    "halo",
    "largest",
    "own_points",
    "slab_mesh",
    "split_fields",
    "stack",
    "total",
    "whole_fields",
    "whole_grid",
]
