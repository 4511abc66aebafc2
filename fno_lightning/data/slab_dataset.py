"""Samples on the slab of this process, where fields are split over processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from fno_lightning.data.batch import Batch
from fno_lightning.data.hdf5.dataset import WindowDataset
from fno_lightning.data.hdf5.reader import Cut
from fno_lightning.data.loading import DerivedDataset, read_batch
from fno_lightning.slabs import Slabs, active_slabs


def on_own_slab(dataset: Dataset[Batch]) -> Dataset[Batch]:
    """Return samples on the slab of this process; the samples themselves where fields are whole.

    Windows of files are read so. Others, such as those of a cache, are made as a whole and then cut.
    """
    slabs = active_slabs()
    if slabs is None:
        return dataset
    if isinstance(dataset, WindowDataset):
        _require_whole(dataset.grid_shape[slabs.axis], slabs.axis, slabs.n_points)
        return dataset.along(Cut(slabs.axis, *slabs.points))
    return SlabDataset(dataset, slabs)


class SlabDataset(DerivedDataset):
    """Slabs of the samples of another data set.

    Args:
        dataset: Whole samples.
        slabs: The slabs that processes have of them.
    """

    def __init__(self, dataset: Dataset[Batch], slabs: Slabs) -> None:
        super().__init__(dataset)
        self.axis, self.n_points, (self.first, self.end) = slabs.axis, slabs.n_points, slabs.points

    def __getitems__(self, items: Sequence[Any]) -> Batch:
        """Return samples as one batch.

        Raises:
            ValueError: if the axis that is split has another number of points.
        """
        batch = read_batch(self.dataset, items)
        dim = self.axis - (batch.target.ndim - 3)
        return batch._replace(
            history=self._cut(batch.history, dim),
            constants=self._cut(batch.constants, dim),
            target=self._cut(batch.target, dim),
        )

    def _cut(self, part: Tensor, dim: int) -> Tensor:
        _require_whole(part.shape[dim], self.axis, self.n_points)
        return part.narrow(dim, self.first, self.end - self.first).contiguous()


def _require_whole(n_points: int, axis: int, expected: int) -> None:
    if n_points != expected:
        raise ValueError(
            f"fields are split along axis {axis} of {expected} points, but samples have {n_points} points there"
        )
