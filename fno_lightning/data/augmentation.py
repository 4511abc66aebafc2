"""Training samples that are transformed at random by symmetries of their equation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from torch.utils.data import Dataset

from fno_lightning.data.batch import Batch
from fno_lightning.data.loading import DerivedDataset, DerivedSampler, collate, read_batch
from fno_lightning.data.symmetries import Symmetries, by_axes
from fno_lightning.field_spec import FieldSpec
from fno_lightning.pdes import PDE


class SamplesOfEpoch(DerivedSampler):
    """Give each of another sampler's samples the number of the epoch."""

    def __iter__(self) -> Iterator[Any]:
        """Yield samples with the epoch."""
        return ((sample, self.epoch) for sample in self.sampler)


class AugmentedDataset(DerivedDataset):
    """Samples of another data set, each transformed by a random member of a group of symmetries.

    The transformation depends on the seed (``PL_GLOBAL_SEED``), the epoch and the number of the sample alone, whatever
    the batch, the process and the worker, so that a training can be repeated and resumed. A sample without an epoch
    stays as it is.

    Args:
        dataset: The samples.
        symmetries: The group.
    """

    def __init__(self, dataset: Dataset[Batch], symmetries: Symmetries) -> None:
        super().__init__(dataset)
        self.symmetries = symmetries

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
    axes = spec.axis_names
    stated = by_axes(equation.symmetries, axes)
    for name in names:
        if not by_axes([name], axes) <= stated:
            raise ValueError(
                f"augment has {name}, which is no symmetry of {type(equation).__name__} with these arguments: it has "
                f"{list(equation.symmetries) or 'none'}"
            )
