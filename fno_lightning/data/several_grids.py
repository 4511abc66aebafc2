"""Training on several grids: each batch is of one of them, drawn or by a schedule."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Literal, TypeAlias

from torch import Tensor
from torch.utils.data import Dataset, Sampler

from fno_lightning.data.batch import Batch
from fno_lightning.data.loading import DerivedDataset, DerivedSampler, read_batch
from fno_lightning.field_spec import FieldSpec

Coarsening: TypeAlias = Literal["points", "mean"]
"""``points``: every n-th point, the first included; ``mean``: the mean over each block of n points along each axis."""


class GridSampler(DerivedSampler):
    """Give each batch of another sampler's samples the number of a grid.

    The grid of a batch depends on the seed (``PL_GLOBAL_SEED``), the epoch and the number of the batch alone, so that
    a training can be repeated, and distributed processes have the same one at the same time.

    Args:
        sampler: Yields the samples, of this process if there are several.
        batch_size: Samples in a batch.
        n_grids: Number of grids to draw from, all equally likely.
        schedule: Instead, the number of a grid for each of the first epochs; the last of them stays.
    """

    def __init__(self, sampler: Sampler[int], batch_size: int, n_grids: int, schedule: Sequence[int] = ()) -> None:
        super().__init__(sampler)
        self.batch_size = batch_size
        self.n_grids = n_grids
        self.schedule = schedule

    def __iter__(self) -> Iterator[Any]:
        """Yield samples with the grids of their batches."""
        for position, sample in enumerate(self.sampler):
            yield sample, self.grid(position // self.batch_size)

    def grid(self, batch: int) -> int:
        """Return the number of a batch's grid in the current epoch."""
        if self.schedule:
            return self.schedule[min(self.epoch, len(self.schedule) - 1)]
        return Random(f"{os.environ.get('PL_GLOBAL_SEED', 0)} {self.epoch} {batch}").choice(range(self.n_grids))


class CoarsenedDataset(DerivedDataset):
    """Samples of another data set on a coarser grid.

    Args:
        dataset: The samples.
        stride: Points along each axis that become one; see :func:`coarsened`.
        coarsening: What a coarse point holds.
    """

    def __init__(self, dataset: Dataset[Batch], stride: int, coarsening: Coarsening) -> None:
        super().__init__(dataset)
        self.stride = stride
        self.coarsening: Coarsening = coarsening

    def __getitems__(self, items: Sequence[Any]) -> Batch:
        """Return samples as one batch."""
        return coarsened(read_batch(self.dataset, items), self.stride, self.coarsening)


class SeveralGridsDataset(DerivedDataset):
    """Samples that there are on several grids, by number and number of the grid.

    Args:
        grids: The samples on each grid, equally many in the same order.
        default: Number of the grid of a sample without one.
    """

    def __init__(self, grids: Sequence[Dataset[Batch]], default: int = 0) -> None:
        super().__init__(grids[0])
        self.grids = grids
        self.default = default

    def __getitems__(self, items: Sequence[Any]) -> Batch:
        """Return samples as one batch, on the grid of the first one."""
        pairs = [item if isinstance(item, tuple) else (item, self.default) for item in items]
        return read_batch(self.grids[pairs[0][1]], [sample for sample, _ in pairs])


def coarsened(batch: Batch, stride: int, coarsening: Coarsening = "points") -> Batch:
    """Return a batch on a coarser grid.

    Every n-th point of a field aliases: what the coarse grid cannot resolve appears at longer wavelengths. Means damp
    that, and are the values that finite volumes of n times the size hold.

    Args:
        batch: Samples with their batch axis.
        stride: Distance between the points that stay, or side of the blocks, in points; 1 leaves the batch as it is.
        coarsening: What a coarse point holds.
    """
    if stride == 1:
        return batch
    return batch._replace(
        history=_on_coarse_grid(batch.history, 3, stride, coarsening),
        constants=_on_coarse_grid(batch.constants, 2, stride, coarsening),
        target=_on_coarse_grid(batch.target, 3, stride, coarsening),
    )


def _on_coarse_grid(part: Tensor, first_axis: int, stride: int, coarsening: Coarsening) -> Tensor:
    """Return a coarsened tensor, in memory of its own so that a worker does not send the fine one."""
    for axis in range(first_axis, part.ndim):
        if coarsening == "mean":
            shape = part.shape
            part = part.reshape(*shape[:axis], shape[axis] // stride, stride, *shape[axis + 1 :]).mean(dim=axis + 1)
        else:
            part = part[(slice(None),) * axis + (slice(None, None, stride),)]
    return part.contiguous()


def coarse_grids(spec: FieldSpec, strides: Sequence[int], coarsening: Coarsening) -> tuple[tuple[int, ...], ...]:
    """Return the grid of each stride.

    Raises:
        ValueError: if a stride leaves fewer than 2 points of an axis, does not divide the points of a
            periodic axis, or, with ``mean``, of any axis; names the stride.
    """
    sides = spec.boundaries or (("", ""),) * spec.n_dims
    for stride in strides:
        for name, n_points, boundary in zip(spec.axis_names, spec.grid_shape, sides, strict=True):
            found = (
                f"train_strides has {stride}, but the grid of {spec.dataset_name} has {n_points} points along {name}"
            )
            if stride > 1 and -(-n_points // stride) < 2:
                raise ValueError(f"{found}, of which fewer than 2 would be left: choose a smaller stride")
            if n_points % stride and (coarsening == "mean" or boundary == ("periodic", "periodic")):
                reason = "coarsen=mean" if coarsening == "mean" else "a periodic axis"
                raise ValueError(f"{found}, and {reason} needs a stride that divides them")
    return tuple(tuple(-(-n_points // stride) for n_points in spec.grid_shape) for stride in strides)


def coarse_to_fine(grids: Sequence[Sequence[int]], n_epochs: Sequence[int]) -> list[int]:
    """Return the number of the grid of each epoch until the finest one, which stays.

    Args:
        grids: The grids, in any order.
        n_epochs: Epochs on each grid but the finest, from the one with the fewest points on.

    Raises:
        ValueError: if there is not one number for each grid but one.

    >>> coarse_to_fine([(64, 64), (16, 16), (32, 32)], [2, 1])
    [1, 1, 2, 0]
    """
    if len(n_epochs) != len(grids) - 1:
        raise ValueError(
            f"train_grid_epochs {list(n_epochs)} has {len(n_epochs)} entries, but the training has {len(grids)} grids "
            f"{list(map(tuple, grids))}: give one for each grid but the finest, in train_strides or train_resolutions"
        )
    order = sorted(range(len(grids)), key=lambda number: math.prod(grids[number]))
    numbers = [number for number, n in zip(order, n_epochs, strict=False) for _ in range(n)]
    return [*numbers, order[-1]]
