"""The base class of all data modules."""

from __future__ import annotations

import copy
import inspect
import sys
from abc import ABC, abstractmethod
from argparse import Namespace
from collections.abc import MutableMapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Self, get_args

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from fno_lightning.arguments import (
    constructor_arguments,
    plain,
    plain_hyperparameters,
    require_list,
    store_hyperparameters,
)
from fno_lightning.data.augmentation import AugmentedDataset, SamplesOfEpoch, require_stated
from fno_lightning.data.batch import Batch, Split
from fno_lightning.data.finite import narrowed
from fno_lightning.data.loading import (
    EpochSampler,
    SuperBatches,
    WholeBatches,
    consecutive,
    make_loader,
    process_count,
    process_rank,
    several_batches,
    shared_batches,
)
from fno_lightning.data.several_grids import (
    CoarsenedDataset,
    Coarsening,
    GridSampler,
    SeveralGridsDataset,
    coarse_grids,
    coarse_to_fine,
)
from fno_lightning.data.shuffling import ResumableLoader, SamplesLeft, ShuffledSamples
from fno_lightning.data.slab_dataset import on_own_slab
from fno_lightning.data.statistics import Statistics
from fno_lightning.data.symmetries import Symmetries
from fno_lightning.devices import held_dtype
from fno_lightning.field_spec import FieldSpec
from fno_lightning.pdes import PDE, PointProblem


class NotPreparedError(FileNotFoundError):
    """Error for data that ``prepare_data`` must bring before they can be described."""


class FieldDataModule(LightningDataModule, ABC):
    """LightningDataModule that serves a data set as :class:`~fno_lightning.data.Batch` es.

    A subclass describes the data (:attr:`spec`, :attr:`n_steps_input`, :attr:`statistics`) and makes the data sets
    of the splits (:meth:`dataset`, :meth:`rollout_dataset`); the loaders are made here. ``predict``
    forecasts the full trajectories of the test split.

    Distributed processes share out the samples of validation and test so that each is evaluated once: the loaders serve
    ready-made batches, equally many for each process. Where fields are split over processes, the loaders serve the slab
    of each.

    The arguments of a data module, those of a subclass included, are hyper-parameters, which loggers and checkpoints
    keep as plain values.

    Args:
        batch_size: Samples in a training batch, on each device.
        eval_batch_size: Samples in a batch of validation and test, on each device; as in training unless given.
        rollout_batch_size: Trajectories in a batch of :meth:`rollout_dataloader`.
        num_workers: Processes that read ahead; 0: the data are read between the steps.
        pin_memory: Whether to copy batches into page-locked memory, for faster transfer to a GPU; unless given, where
            there is a GPU.
        persistent_workers: Whether the processes live on between epochs.
        prefetch_factor: Batches that each process reads ahead.
        train_strides: Train on several grids: each batch takes every n-th point along each axis, with n drawn from
            these. An epoch has every sample once, on one of the grids; validation and test keep the full one.
        train_grid_epochs: Train on one grid after the other, from coarse to fine: epochs on each of the training's
            grids but the finest, which the rest of the training has. Unless given, each batch is of a drawn grid.
        coarsen: What a point of a coarser training grid holds: ``points``: the value there, which aliases what the grid
            does not resolve; ``mean``: the mean over its block of n points along each axis, for data that are
            averages over cells.
        augment: Symmetries of the equation by which training samples are transformed at random, anew in every epoch:
            ``shift`` by grid points, ``flip`` and ``rotate`` by 90°, along all axes, or along those that are named, as
            in ``shift_x``, ``flip_y`` and ``rotate_xy``. Vector and tensor components, found by their names
            (``velocity_x``, ``stress_xy``), turn with the grid, those among the constant fields and scalars too.
            Equations of the package know which of them they have; for other data, to name one is to state it.
        pseudo_fields: Fields, vectors by their name without the axis, that change sign under a flip besides, such as a
            vorticity in two dimensions; unless given, those that the equation states, or none.

    Raises:
        ValueError: if a size or a stride is not positive, or there are no strides; when training starts, if a stride
            does not fit the grid, or the boundaries, the grid or the equation break a symmetry of ``augment``.
    """

    n_steps_input: int
    """Frames of a batch's history; known from construction on."""

    run_time_arguments: ClassVar[Sequence[str]] = ()
    """Names of a subclass's arguments that are no hyper-parameters, such as a function."""

    def __init__(
        self,
        *,
        batch_size: int = 8,
        eval_batch_size: int | None = None,
        rollout_batch_size: int = 1,
        num_workers: int = 0,
        pin_memory: bool | None = None,
        persistent_workers: bool = True,
        prefetch_factor: int | None = None,
        train_strides: Sequence[int] = (1,),
        train_grid_epochs: Sequence[int] = (),
        coarsen: Coarsening = "points",
        augment: Sequence[str] = (),
        pseudo_fields: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        store_hyperparameters(self, constructor_arguments(self, sys._getframe()))
        require_at_least(1, batch_size=batch_size, rollout_batch_size=rollout_batch_size)
        require_at_least(0, num_workers=num_workers)
        require_at_least(1, eval_batch_size=eval_batch_size, prefetch_factor=prefetch_factor)
        self.batch_size: int = plain(batch_size, "batch_size")
        self.eval_batch_size: int = plain(eval_batch_size, "eval_batch_size") or self.batch_size
        self.rollout_batch_size: int = plain(rollout_batch_size, "rollout_batch_size")
        self.num_workers: int = plain(num_workers, "num_workers")
        self.pin_memory = torch.cuda.is_available() if pin_memory is None else pin_memory
        self.persistent_workers = persistent_workers
        self.prefetch_factor: int | None = plain(prefetch_factor, "prefetch_factor")
        require_list(train_strides=train_strides)
        strides: list[int] = plain(list(train_strides), "train_strides")
        if not strides:
            raise ValueError("train_strides is empty, expected at least one stride: [1] trains on the full grid alone")
        require_at_least(1, **{f"train_strides[{i}]": stride for i, stride in enumerate(strides)})
        if coarsen not in get_args(Coarsening):
            raise ValueError(f"coarsen is {coarsen!r}, expected 'points' or 'mean'")
        self.train_strides = tuple(strides)
        self.coarsen: Coarsening = coarsen
        require_list(train_grid_epochs=train_grid_epochs, augment=augment, pseudo_fields=pseudo_fields)
        self.train_grid_epochs: list[int] = plain(list(train_grid_epochs), "train_grid_epochs")
        require_at_least(1, **{f"train_grid_epochs[{i}]": n for i, n in enumerate(self.train_grid_epochs)})
        self.augment: list[str] = plain(list(augment), "augment")
        self.pseudo_fields: list[str] | None = plain(pseudo_fields, "pseudo_fields")

    def _set_hparams(self, hp: MutableMapping[str, Any] | Namespace | str) -> None:
        super()._set_hparams(hp if isinstance(hp, str) else plain_hyperparameters(type(self), hp, _CONVERSIONS))

    def _reset(self) -> None:
        """Forget what was read."""

    def _changed(self, **attributes: Any) -> Self:
        """Return a copy with other attributes that has read nothing yet."""
        other = copy.copy(self)
        own = {name: value for name, value in vars(self).items() if not _is_cached_property(type(self), name)}
        other.__dict__ = own | attributes
        other._reset()
        return other

    @property
    @abstractmethod
    def spec(self) -> FieldSpec:
        """Description of the data set; known from construction on, because the command line links it to the module."""

    @property
    @abstractmethod
    def statistics(self) -> Statistics:
        """Statistics of the train split; known from ``prepare_data`` on."""

    @abstractmethod
    def dataset(self, split: Split) -> Dataset[Batch]:
        """Return the samples of a split; known from ``prepare_data`` on."""

    @abstractmethod
    def rollout_dataset(self, split: Split) -> Dataset[Batch]:
        """Return full trajectories: the first frames as history, all that follow as target."""

    def beginnings(self, split: Split) -> Dataset[Batch] | None:
        """Return the trajectories of a split with their histories alone, in the order of :meth:`rollout_dataset`.

        ``None``: they cannot be had without reading whole trajectories, or there is no end of them.
        """
        return None

    @property
    def equation(self) -> PDE | None:
        """The equation that has made the data; ``None`` where nobody knows it."""
        return self._equation

    def at_resolution(self, resolution: Sequence[int]) -> FieldDataModule:
        """Return the same data on another grid, of which validation and test can be used.

        Raises:
            ValueError: if the data have no such grid.
        """
        raise ValueError(
            f"{type(self).__name__} has its data on one grid only, asked for {list(resolution)}: override at_resolution"
        )

    def rollout_batches(self, split: Split) -> list[list[int]]:
        """Return the items of :meth:`rollout_dataset` by batch; those of a batch must have the same shape."""
        return consecutive(range(len(self.rollout_dataset(split))), self.rollout_batch_size)  # type: ignore[arg-type]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return shuffled samples of the train split, the last incomplete batch left out."""
        dataset = on_own_slab(self.dataset("train"))
        samples = ShuffledSamples(len(dataset))  # type: ignore[arg-type]
        dataset, options = self._on_train_grids(dataset, self._train_options(samples, may_drop_last=True))
        return self._loader(dataset, loader_class=ResumableLoader, **options)

    def sample_name(self, split: Split, index: int) -> str:
        """Return what a sample of a split is, for messages: where it lies, if that is known."""
        return f"sample {index} of {split}"

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the samples of the validation split in order."""
        return self._evaluation_loader("valid")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return the samples of the test split in order."""
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Return the full trajectories of the test split, one in a batch, for they may differ in length."""
        return self._loader(on_own_slab(self.rollout_dataset("test")), batch_size=1)

    def rollout_dataloader(self, split: Split) -> DataLoader[Batch]:
        """Return full trajectories, each once; distributed processes share them out, perhaps unevenly."""
        return self._loader(on_own_slab(self.rollout_dataset(split)), batch_sampler=self.own_rollout_batches(split))

    def own_rollout_batches(self, split: Split) -> list[list[int]]:
        """Return the share of :meth:`rollout_batches` that this process forecasts."""
        return self.rollout_batches(split)[process_rank() :: process_count()]

    @property
    def train_grids(self) -> tuple[tuple[int, ...], ...]:
        """Grids of the training's batches, one for each of ``train_strides``.

        Raises:
            ValueError: if a stride does not fit the grid of the data.
        """
        return coarse_grids(self.spec, self.train_strides, self.coarsen)

    def _train_options(self, samples: EpochSampler, *, may_drop_last: bool) -> dict[str, Any]:
        """Return the options of a train loader for the samples of this process.

        Args:
            samples: The samples.
            may_drop_last: Whether to leave out an incomplete last batch, unless it is the only one.
        """
        drop_last = may_drop_last and len(samples) >= self.batch_size
        if self._batches_at_once is not None:
            return self._several_batches(samples, drop_last=drop_last)
        return {"sampler": samples, "batch_size": self.batch_size, "drop_last": drop_last}

    def _on_train_grids(
        self, dataset: Dataset[Batch], options: dict[str, Any]
    ) -> tuple[Dataset[Batch], dict[str, Any]]:
        """Return samples of the train split and options of their loader such that each item is of one of the grids."""
        grids = self._train_datasets(dataset)
        schedule = coarse_to_fine(self.train_grids, self.train_grid_epochs) if self.train_grid_epochs else []
        if self.augment:
            options = options | {"sampler": SamplesOfEpoch(options["sampler"])}
        if len(grids) > 1:
            options = options | {
                "sampler": GridSampler(options["sampler"], options["batch_size"], len(grids), schedule)
            }
        options = options | {"sampler": SamplesLeft(options["sampler"])}
        if len(grids) == 1:
            return grids[0], options
        return SeveralGridsDataset(grids, default=schedule[-1] if schedule else 0), options

    def _train_datasets(self, dataset: Dataset[Batch]) -> list[Dataset[Batch]]:
        """Return the samples of the train split on each of the grids of the training."""
        _ = self.train_grids
        dataset = self._augmented(dataset)
        return [
            dataset if stride == 1 else CoarsenedDataset(dataset, stride, self.coarsen) for stride in self.train_strides
        ]

    def _augmented(self, dataset: Dataset[Batch]) -> Dataset[Batch]:
        """Return samples that are transformed by the symmetries of ``augment``, if there are any."""
        if not self.augment:
            return dataset
        equation, pseudo = self._equation, self.pseudo_fields
        if equation is not None:
            require_stated(self.augment, equation, self.spec)
            pseudo = list(equation.pseudo_fields) if pseudo is None else pseudo
        return AugmentedDataset(dataset, Symmetries(self.spec, self.augment, pseudo or ()))

    @property
    def _equation(self) -> PDE | None:
        """The equation that the data are of, real ones too, which states their symmetries; ``None``: not known."""
        return None

    @property
    def _batches_at_once(self) -> int | None:
        """Number of batches in an item of the train loader; ``None``: one, as usual."""
        strategy: object = getattr(self.trainer, "strategy", None)
        return strategy.steps_per_execution if isinstance(strategy, SuperBatches) else None

    def _several_batches(self, sampler: Sampler[int], *, drop_last: bool) -> dict[str, Any]:
        """Return the options of a train loader that serves super-batches."""
        limit = getattr(self.trainer, "limit_train_batches", None)
        return several_batches(
            sampler,
            self.batch_size,
            self._batches_at_once or 1,
            drop_last=drop_last,
            limit=limit if isinstance(limit, int) else None,  # a fraction is of what the loader has
        )

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Give float32 to a device that has no float64.

        Raises:
            ValueError: if a value is too large for that.
        """
        device = batch.target.device if self.trainer is None else self.trainer.strategy.root_device
        names = ("histories", "constant fields", "scalars", "targets", "members")
        return Batch(
            *(
                narrowed(part, held_dtype(part.dtype, device), f"the {name} of a batch")
                for name, part in zip(names, batch, strict=True)
            )
        )

    def _evaluation_loader(self, split: Split) -> DataLoader[Batch]:
        dataset = on_own_slab(self.dataset(split))
        batches = shared_batches(len(dataset), self.eval_batch_size, process_count())  # type: ignore[arg-type]
        return self._loader(WholeBatches(dataset, batches), batch_size=None)

    def _loader(self, dataset: Dataset[Batch], **options: Any) -> DataLoader[Batch]:
        return make_loader(
            dataset,
            num_workers=self.num_workers,
            pin_memory=self.pin_memory,
            persistent_workers=self.persistent_workers,
            prefetch_factor=self.prefetch_factor,
            **options,
        )


MOST = 10**9
"""Largest value of an option that counts something: tensors of more would fit into no memory."""


def require_at_least(minimum: int, **options: int | None) -> None:
    """Check lower limits of options; ``None`` passes.

    Raises:
        TypeError: if an option is no whole number; names it.
        ValueError: if an option is smaller than ``minimum``, or above 10⁹; names it.
    """
    for name, value in options.items():
        number = plain(value, name)
        if number is not None and type(number) is not int:
            raise TypeError(f"{name} is {value!r}, expected a whole number")
        if number is not None and number < minimum:
            raise ValueError(f"{name} is {value}, expected at least {minimum}")
        if number is not None and number > MOST:
            raise ValueError(f"{name} is {value}, expected at most {MOST}")


def _is_cached_property(cls: type, name: str) -> bool:
    return isinstance(inspect.getattr_static(cls, name, None), cached_property)


_CONVERSIONS = {
    PDE: lambda pde: {"class": type(pde).__name__, **pde.settings},
    PointProblem: lambda problem: {"class": type(problem).__name__, **problem.settings},
    LightningDataModule: lambda data: data.hparams,
}
"""Plain values of the objects that data modules take."""
