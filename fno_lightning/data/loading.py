"""Samplers, collation, loaders and the memory of batches."""

from __future__ import annotations

import itertools
import math
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, distributed
from torch.utils.data import (
    DataLoader,
    Dataset,
    DistributedSampler,
    Sampler,
    default_collate,
    get_worker_info,
)

from fno_lightning.data.batch import Batch
from fno_lightning.slabs import active_slabs


class SuperBatches(ABC):
    """A strategy of the trainer that trains on super-batches: items of the train loader that hold several batches."""

    steps_per_execution: int
    """Number of batches in a super-batch; the last one of an epoch may hold fewer."""
    batches_had: int = 0
    """Batches, not super-batches, that a resumed training has had in its epoch."""

    @abstractmethod
    def count_training_steps(self) -> float:
        """Return the number of optimizer steps that the training will take; may be infinite."""


class WholeBatches(Dataset[Batch]):
    """A data set whose items are whole batches of another one, for a ``DataLoader`` with ``batch_size=None``.

    Args:
        dataset: The data set of the samples.
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


class DerivedDataset(Dataset[Batch], ABC):
    """Samples made from those of another data set, equally many, a batch of them at once.

    Args:
        dataset: The other data set.
    """

    def __init__(self, dataset: Dataset[Batch]) -> None:
        self.dataset = dataset

    @property
    def is_on_device(self) -> bool:
        """Whether the samples are made on the device that trains."""
        return is_on_device(self.dataset)

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, item: Any) -> Batch:
        return Batch(*(part[0] for part in self.__getitems__([item])))

    @abstractmethod
    def __getitems__(self, items: Sequence[Any]) -> Batch:
        """Return samples as one batch."""


class EpochSampler(DistributedSampler[int], ABC):
    """A sampler that knows the epoch, and shares the samples out to the processes itself.

    It inherits a ``DistributedSampler`` for its type and its ``set_epoch`` alone: of such a sampler Lightning sets the
    epoch, and it puts no other in its place when there are several processes.
    """

    def __init__(self) -> None:
        """Skip the constructor of ``DistributedSampler``, which asks for a data set to share out."""
        self.epoch = 0

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples of this process in an epoch."""

    @abstractmethod
    def __iter__(self) -> Iterator[int]:
        """Yield the samples of this process in the current epoch."""


class DerivedSampler(EpochSampler, ABC):
    """A sampler that takes its samples from another one, as many unless a subclass says otherwise.

    Args:
        sampler: Yields the samples, of this process if there are several.
    """

    def __init__(self, sampler: Sampler[int]) -> None:
        super().__init__()
        self.sampler = sampler

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type]

    def set_epoch(self, epoch: int) -> None:
        """Take the epoch, and pass it on if the sampler asks for it."""
        super().set_epoch(epoch)
        if isinstance(self.sampler, DistributedSampler):
            self.sampler.set_epoch(epoch)


class FirstSamples(DerivedSampler):
    """The first samples that another sampler yields in each epoch.

    Args:
        sampler: Yields the samples, of this process if there are several.
        n_samples: Number of samples to take.
    """

    def __init__(self, sampler: Sampler[int], n_samples: int) -> None:
        super().__init__(sampler)
        self.n_samples = n_samples

    def __len__(self) -> int:
        return self.n_samples

    def __iter__(self) -> Iterator[int]:
        return itertools.islice(self.sampler, self.n_samples)


def several_batches(
    sampler: Sampler[int], batch_size: int, at_once: int, *, drop_last: bool, limit: int | None
) -> dict[str, Any]:
    """Return options of a ``DataLoader`` for several batches at once, which together are those of a plain loader.

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


def make_loader(
    dataset: Dataset[Batch],
    *,
    num_workers: int,
    pin_memory: bool,
    persistent_workers: bool,
    prefetch_factor: int | None,
    loader_class: type[DataLoader[Batch]] = DataLoader,
    **options: Any,
) -> DataLoader[Batch]:
    """Return a loader of batches, without workers and page-locked memory for samples made on the device that trains.

    The seeds of its workers come from a generator of its own: from the common one PyTorch draws when workers start, but
    not when they go on, and a training that is resumed would see other random numbers after its first validation.

    Args:
        dataset: The samples.
        num_workers: Processes that read ahead.
        pin_memory: Whether to copy batches into page-locked memory.
        persistent_workers: Whether the processes live on between epochs.
        prefetch_factor: Batches that each process reads ahead.
        loader_class: Class of the loader.
        **options: Batch size, sampler and other options of the ``DataLoader``.
    """
    on_device = is_on_device(dataset)
    num_workers = 0 if on_device else num_workers
    return loader_class(
        dataset,
        num_workers=num_workers,
        pin_memory=pin_memory and not on_device,
        persistent_workers=persistent_workers and num_workers > 0,
        prefetch_factor=prefetch_factor if num_workers > 0 else None,
        collate_fn=collate,
        generator=torch.Generator(),
        **options,
    )


def is_on_device(dataset: Dataset[Batch]) -> bool:
    """Whether a data set makes its samples on the device that trains: then no worker process can do it."""
    return bool(getattr(dataset, "is_on_device", False))


def read_batch(dataset: Dataset[Batch], samples: Sequence[Any]) -> Batch:
    """Read samples, by what the data set knows them by, as one batch; at once if it can (``__getitems__``)."""
    if hasattr(dataset, "__getitems__"):
        return collate(dataset.__getitems__(samples))
    return collate([dataset[sample] for sample in samples])


def collate(samples: Batch | list[Batch]) -> Batch:
    """Stack samples into a batch, unless the data set has already read them as one (``__getitems__``)."""
    if isinstance(samples, Batch):
        return samples
    batch: Batch = default_collate(samples)
    return batch


def consecutive(items: Sequence[int], size: int) -> list[list[int]]:
    """Cut a sequence into pieces of at most ``size``."""
    return [list(items[first : first + size]) for first in range(0, len(items), size)]


def shared_batches(n_samples: int, size: int, n_processes: int) -> list[list[int]]:
    """Cut samples into batches that processes can share out: equally many for each, and no sample twice.

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
    """Number of processes that share the samples out; those that have slabs of the same samples count as one."""
    if (slabs := active_slabs()) is not None:
        return slabs.n_data
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def process_rank() -> int:
    """Number of this process among them."""
    if (slabs := active_slabs()) is not None:
        return slabs.data_rank
    return distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0


MAX_BUFFERS = 8
"""Buffers that a process keeps; with more batches alive at once, the others are ordinary memory."""


class _Buffer(NamedTuple):
    """Memory and the last array that was handed out of it, which lives as long as any tensor on it."""

    values: np.ndarray
    user: weakref.ref[np.ndarray]


class BatchBuffers:
    """Provider of tensors whose memory is taken again when the last tensor or array on it is gone.

    The pages of a large fresh tensor are mapped by the system one at a time while it is first written, which takes as
    long as the copy itself. A batch that is kept keeps its memory: it is never handed out twice at once.

    Args:
        pin_memory: Hand out page-locked memory, in processes other than a loader's workers; PyTorch's own allocator
            then takes it again after pending copies to a GPU, and a loader that pins has nothing left to copy.
    """

    def __init__(self, *, pin_memory: bool = False) -> None:
        self.pin_memory = pin_memory
        self._buffers: deque[_Buffer] = deque()

    def empty(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return a tensor with arbitrary values, in float32 or float64."""
        if self.pin_memory and get_worker_info() is None:
            return torch.empty(shape, dtype=dtype, pin_memory=True)
        size = math.prod(shape)
        if size == 0:
            return torch.empty(shape, dtype=dtype)
        return torch.from_numpy(self._take(size, np.dtype(np.float64 if dtype == torch.float64 else np.float32))).view(
            shape
        )

    def _take(self, size: int, dtype: np.dtype) -> np.ndarray:
        values = self._free(size, dtype)
        if values is None:
            values = np.empty(size, dtype)
        array = values[:]
        self._buffers.append(_Buffer(values, weakref.ref(array)))
        if len(self._buffers) > MAX_BUFFERS:
            self._buffers.popleft()
        return array

    def _free(self, size: int, dtype: np.dtype) -> np.ndarray | None:
        """Take an unused buffer out of the queue; that is atomic, so threads cannot take the same."""
        for _ in range(len(self._buffers)):
            try:
                buffer = self._buffers.popleft()
            except IndexError:
                return None
            if (buffer.values.size, buffer.values.dtype) == (size, dtype) and buffer.user() is None:
                return buffer.values
            self._buffers.append(buffer)
        return None

    def __getstate__(self) -> dict[str, Any]:
        return {"pin_memory": self.pin_memory, "_buffers": deque()}
