"""Order of the training samples, and where in it a training goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from fno_lightning.data.batch import Batch
from fno_lightning.data.loading import DerivedSampler, EpochSampler, SuperBatches, process_count, process_rank

if TYPE_CHECKING:
    from lightning.pytorch import Trainer


class ShuffledSamples(EpochSampler):
    """Samples in an order of each epoch's own, of which this process takes its share.

    The order depends on the seed (``PL_GLOBAL_SEED``, or that of PyTorch) and the epoch alone: a training can be
    repeated and resumed, and any number of processes trains on the same samples at the same time, if their batches are
    as large together. Every process gets equally many; the first samples come again if they do not come out even.

    Args:
        n_samples: Number of samples, of all processes together.
    """

    def __init__(self, n_samples: int) -> None:
        super().__init__()
        self.n_samples = n_samples
        self.n_processes, self.process = process_count(), process_rank()
        self._training_seed = _training_seed()

    def __len__(self) -> int:
        return -(-self.n_samples // self.n_processes)

    def __iter__(self) -> Iterator[int]:
        order = torch.randperm(self.n_samples, generator=_generator(self._training_seed, self.epoch)).tolist()
        n_shared = len(self) * self.n_processes
        return (order[i % self.n_samples] for i in range(self.process, n_shared, self.n_processes))


class SamplesLeft(DerivedSampler):
    """The samples of another sampler, in an epoch that is resumed those that are left of it.

    Its length stays that of a whole epoch, for the trainer counts the batches that were had.

    Args:
        sampler: Yields the samples, of this process if there are several.
    """

    def __init__(self, sampler: EpochSampler) -> None:
        super().__init__(sampler)
        self._resumed_epoch, self._n_had = -1, 0

    def resume(self, epoch: int, n_had: int) -> None:
        """Go on in an epoch of which so many samples of this process were had."""
        self._resumed_epoch, self._n_had = epoch, n_had
        self.set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        return islice(self.sampler, self._n_had if self.epoch == self._resumed_epoch else 0, None)


class ResumableLoader(DataLoader[Batch]):
    """A train loader whose sampler is one of :class:`SamplesLeft`, for :func:`resume_samples`.

    It takes the seeds of its workers from the seed of the training and the epoch, not from PyTorch's random numbers, so
    that those of a training are the same whenever a loader is made.
    """

    def __iter__(self) -> Any:
        epoch = self.sampler.epoch if isinstance(self.sampler, SamplesLeft) else 0  # that of the Trainer, to overfit
        self.generator = _generator(_training_seed(), epoch)
        return super().__iter__()

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the trainer's own counts say where the training is. Lightning warns of loaders without it."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take nothing over."""


def resume_samples(trainer: Trainer) -> None:
    """Let the train loader of a training that was resumed from a checkpoint go on where that was in its epoch.

    The loader may have begun before the trainer knew of the checkpoint, when something asked for the number of steps.
    """
    loop, loader = trainer.fit_loop, trainer.train_dataloader
    if not (loop.is_resuming and isinstance(loader, ResumableLoader) and isinstance(loader.sampler, SamplesLeft)):
        return
    n_samples, batch_size = 0, loader.batch_size or 1
    if loop.restarting:
        strategy: object = trainer.strategy
        if isinstance(strategy, SuperBatches):
            n_samples = strategy.batches_had * batch_size // strategy.steps_per_execution
        else:
            n_samples = items_had(loop.epoch_loop.batch_progress.state_dict()) * batch_size
    if n_samples >= min(len(loader.sampler), trainer.num_training_batches * batch_size):
        n_samples = 0  # the next ones are those of a new epoch
    loader.sampler.resume(trainer.current_epoch, n_samples)
    if loop._data_fetcher is not None:
        iter(loop._data_fetcher)


def _training_seed() -> str:
    """Return the seed of the training; that of PyTorch unless there are processes, whose seeds may differ."""
    own = torch.initial_seed() if process_count() == 1 else 0
    return os.environ.get("PL_GLOBAL_SEED") or str(own)


def _generator(seed: str, epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(Random(f"{seed} {epoch}").getrandbits(63))


def items_had(progress: Mapping[str, Any]) -> int:
    """Return how many items of an epoch were trained on by the trainer's count of them, as it is in a checkpoint.

    One that is saved in ``on_train_batch_end`` has had its batch, though the trainer counts it only then.
    """
    total, current = progress["total"], progress["current"]
    at_end_of_batch = total["ready"] == total["started"] == total["processed"] == total["completed"] + 1
    n_items: int = current["ready" if at_end_of_batch else "completed"]
    return n_items
