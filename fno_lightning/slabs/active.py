"""How fields are split while the code in between runs; nothing is while nobody says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch

from fno_lightning.slabs.partition import Slabs

_active: Slabs | None = None


def active_slabs() -> Slabs | None:
    """Return the slabs that fields are split into; ``None``: fields are whole."""
    return _active


@contextmanager
def split_fields(slabs: Slabs | None) -> Iterator[None]:
    """Take fields as the slabs of this process: layers, losses, metrics and loaders then work on these.

    The gradient is that of the sum of the losses of all processes, each of which has the whole loss: with n slabs, the
    mean of the weights' gradients over the processes of a group is the gradient of the loss, as
    ``DistributedDataParallel`` takes it.
    """
    global _active
    before, _active = _active, slabs
    try:
        yield
    finally:
        _active = before


def whole_fields() -> AbstractContextManager[None]:
    """Take fields as whole ones again."""
    return split_fields(None)


def own_points(axis: int) -> tuple[int, int] | None:
    """Return the first point of this process along an axis and the point after its last; ``None``: it has all."""
    return None if _active is None or axis != _active.axis else _active.points


def whole_grid(grid: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of the whole grid that this process has a slab of.

    Args:
        grid: Shape of the slab.

    Raises:
        ValueError: if the slab has another number of points than the split says.
    """
    if _active is None:
        return tuple(grid)
    if not torch.compiler.is_compiling() and (_active.axis >= len(grid) or grid[_active.axis] != _active.size):
        raise ValueError(
            f"fields are split along axis {_active.axis} into slabs of {list(_active.sizes)} points, of which this "
            f"process has number {_active.rank}, but the grid of a field is {tuple(grid)}"
        )
    return (*grid[: _active.axis], _active.n_points, *grid[_active.axis + 1 :])
