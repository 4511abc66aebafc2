"""Which samples make a batch."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any

from torch import distributed
from torch.utils.data import Dataset, DistributedSampler, RandomSampler, Sampler, default_collate

from fno_lightning.data.batch import Batch


class WholeBatches(Dataset[Batch]):
    """A data set whose items are whole batches of another one, for a ``DataLoader`` with ``batch_size=None``.

    Args:
        dataset: Where the samples come from.
        batches: The samples of each batch.
    """

    def __init__(self, dataset: Dataset[Batch], batches: Sequence[Sequence[int]]) -> None:
        self.dataset = dataset
        self.batches = batches

    @property
    def is_on_device(self) -> bool:
        """Whether the samples are made on the device that trains."""
        return is_on_device(self.dataset)

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        return read_batch(self.dataset, self.batches[index])


class FirstSamples(DistributedSampler[int]):
    """The first samples that another sampler yields in each epoch.

    (A ``DistributedSampler``, so that Lightning tells it the epoch and leaves it be.)

    Args:
        sampler: Yields the samples, of this process if there are several.
        n_samples: How many to take.
    """

    def __init__(self, sampler: Sampler[int], n_samples: int) -> None:
        self.sampler = sampler
        self.n_samples = n_samples

    def __len__(self) -> int:
        return self.n_samples

    def __iter__(self) -> Iterator[int]:
        return itertools.islice(self.sampler, self.n_samples)

    def set_epoch(self, epoch: int) -> None:
        """Tells the sampler the epoch, if it asks for it."""
        if isinstance(self.sampler, DistributedSampler):
            self.sampler.set_epoch(epoch)


def shuffled(dataset: Dataset[Batch]) -> Sampler[int]:
    """Returns the sampler that Lightning trains a shuffled data set with, on one device or several."""
    if process_count() == 1:
        return RandomSampler(dataset)  # type: ignore[arg-type]
    return DistributedSampler(dataset, seed=int(os.environ.get("PL_GLOBAL_SEED", "0")))


def several_batches(
    sampler: Sampler[int], batch_size: int, at_once: int, *, drop_last: bool, limit: int | None
) -> dict[str, Any]:
    """Returns options of a ``DataLoader`` for several batches at once, which together are those of a plain loader.

    Args:
        sampler: The samples in order.
        batch_size: Samples in a batch.
        at_once: Batches to serve at once; the last time there may be fewer.
        drop_last: Whether to leave out an incomplete last batch.
        limit: Batches to serve in all; ``None``: all there are.
    """
    n_samples = len(sampler)  # type: ignore[arg-type]
    if drop_last:
        n_samples -= n_samples % batch_size
    if limit is not None:
        n_samples = min(n_samples, limit * batch_size)
    return {"sampler": FirstSamples(sampler, n_samples), "batch_size": at_once * batch_size}


def is_on_device(dataset: Dataset[Batch]) -> bool:
    """Whether a data set makes its samples on the device that trains: then no worker process can do it."""
    return bool(getattr(dataset, "is_on_device", False))


def read_batch(dataset: Dataset[Batch], samples: Sequence[int]) -> Batch:
    """Reads samples as one batch, at once if the data set can (``__getitems__``)."""
    if hasattr(dataset, "__getitems__"):
        return collate(dataset.__getitems__(samples))
    return collate([dataset[sample] for sample in samples])


def collate(samples: Batch | list[Batch]) -> Batch:
    """Stacks samples into a batch, unless the data set has already read them as one (``__getitems__``)."""
    if isinstance(samples, Batch):
        return samples
    batch: Batch = default_collate(samples)
    return batch


def consecutive(items: Sequence[int], size: int) -> list[list[int]]:
    """Cuts a sequence into pieces of at most ``size``."""
    return [list(items[first : first + size]) for first in range(0, len(items), size)]


def shared_batches(n_samples: int, size: int, n_processes: int) -> list[list[int]]:
    """Cuts samples into batches that processes can share out: equally many for each, and no sample twice.

    Processes that evaluate must do equally many steps, because they wait for each other in some. Where the number of
    batches is no multiple of the processes, a sampler repeats some, which then count twice in every error.

    Args:
        n_samples: Number of samples. If there are fewer than processes, each is a batch of its own.
        size: Largest batch; only with batches of one may some processes need batches of two to come out even.
        n_processes: Number of processes; a single one gets full batches and the rest.

    Returns:
        The samples of each batch in order; with several processes the sizes differ by at most one.
    """
    if n_processes == 1:
        return consecutive(range(n_samples), size)
    n_batches = n_processes * -(-n_samples // (size * n_processes))
    if n_batches > n_samples:
        n_batches = n_samples // n_processes * n_processes or n_samples
    edges = [n_samples * number // n_batches for number in range(n_batches + 1)] if n_batches else []
    return [list(range(first, last)) for first, last in itertools.pairwise(edges)]


def process_count() -> int:
    """Number of processes that share the work."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def process_rank() -> int:
    """Number of this process."""
    return distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0
