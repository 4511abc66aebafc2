"""Training samples that are transformed at random by symmetries of their equation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from torch.utils.data import Dataset, DistributedSampler, Sampler

from fno_lightning.data.batch import Batch
from fno_lightning.data.loading import EpochSampler, collate, is_on_device, read_batch
from fno_lightning.data.symmetries import Symmetries, axis_names, by_axes
from fno_lightning.field_spec import FieldSpec
from fno_lightning.pdes import PDE


class SamplesOfEpoch(EpochSampler):
    """Give each of another sampler's samples the number of the epoch.

    Args:
        sampler: Yields the samples, of this process if there are several.
    """

    def __init__(self, sampler: Sampler[int]) -> None:
        super().__init__()
        self.sampler = sampler

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        """Yield samples with the epoch."""
        return ((sample, self.epoch) for sample in self.sampler)

    def set_epoch(self, epoch: int) -> None:
        """Take the epoch, and pass it on if the sampler asks for it."""
        super().set_epoch(epoch)
        if isinstance(self.sampler, DistributedSampler):
            self.sampler.set_epoch(epoch)


class AugmentedDataset(Dataset[Batch]):
    """Samples of another data set, each transformed by a random member of a group of symmetries.

    The transformation depends on the seed (``PL_GLOBAL_SEED``), the epoch and the number of the sample alone, whatever
    the batch, the process and the worker, so that a training can be repeated and resumed. A sample without an epoch
    stays as it is.

    Args:
        dataset: The samples.
        symmetries: The group.
    """

    def __init__(self, dataset: Dataset[Batch], symmetries: Symmetries) -> None:
        self.dataset = dataset
        self.symmetries = symmetries

    @property
    def is_on_device(self) -> bool:
        """Whether the samples are made on the device that trains."""
        return is_on_device(self.dataset)

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, item: int | tuple[int, int]) -> Batch:
        return Batch(*(part[0] for part in self.__getitems__([item])))

    def __getitems__(self, items: Sequence[int | tuple[int, int]]) -> Batch:
        """Return samples, with their epochs, as one batch."""
        batch = read_batch(self.dataset, [item[0] if isinstance(item, tuple) else item for item in items])
        samples = []
        for row, item in enumerate(items):
            sample = Batch(*(part[row] for part in batch))
            if isinstance(item, tuple):
                random = Random(f"{os.environ.get('PL_GLOBAL_SEED', 0)} {item[1]} {item[0]}")
                grid = sample.target.shape[2:]
                sample = self.symmetries.transformed(sample, *self.symmetries.draw(random, grid))
            samples.append(sample)
        return collate(samples)


def require_stated(names: Sequence[str], equation: PDE, spec: FieldSpec) -> None:
    """Check that an equation states the symmetries that are asked for.

    Raises:
        ValueError: if it does not, or a name is unknown.
    """
    axes = axis_names(spec)
    stated = by_axes(equation.symmetries, axes)
    for name in names:
        if not by_axes([name], axes) <= stated:
            raise ValueError(
                f"augment has {name}, which is no symmetry of {type(equation).__name__} with these arguments: it has "
                f"{list(equation.symmetries) or 'none'}"
            )
