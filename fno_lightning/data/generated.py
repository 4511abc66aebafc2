"""Data sets that are simulated at first use."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch.utils.data import Dataset

from fno_lightning.arguments import plain, require_list
from fno_lightning.data.base import require_at_least
from fno_lightning.data.batch import Batch, Split
from fno_lightning.data.hdf5 import WellFile
from fno_lightning.data.simulation import Simulation, schema_file
from fno_lightning.data.well import WellDataModule
from fno_lightning.files import PathText, folder_lock
from fno_lightning.pdes import PDE

logger = logging.getLogger(__name__)


class GeneratedDataModule(WellDataModule):
    """A data set that its equation simulates, unless the real one is on disk.

    Simulated data lie in ``<base_path>/<dataset_name>-<key>``, a data set in The Well's format beside a
    ``settings.json``; the key changes with every setting that the data depend on, so that old files are never mixed
    with new ones. An interrupted simulation continues where it stopped.

    Args:
        pde: The equation.
        base_path: Folder of the data sets.
        n_train: Simulated trajectories of the train split for each set of parameters.
        n_valid: Simulated trajectories of the validation split for each set of parameters.
        n_test: Simulated trajectories of the test split for each set of parameters.
        seed: Selects the initial conditions; those of the splits differ.
        source: ``auto``: the real data set if it is on disk, else a simulation; ``download``: the real data set,
            downloaded from The Well; ``simulate``: a simulation.
        device: Device of the simulation; ``auto``: a GPU if there is one.
        n_processes: Processes that simulate a large data set side by side on a CPU, each with one thread.
        train_resolutions: Further grids that the train split is simulated on, from the same seeds: each training batch
            is of one of all the grids, ``train_strides`` included. Validation and test keep the grid of ``pde``.
        **options: Windows, filters and loaders, see :class:`WellDataModule`.

    Raises:
        ValueError: if a count or a stride is too small, or ``pde`` cannot be simulated on one of
            ``train_resolutions``; when training starts, if there are any and the data are the real ones.
    """

    _alternative_to_download = "or simulate a stand-in with --data.init_args.source simulate"

    def __init__(
        self,
        pde: PDE,
        base_path: PathText = "datasets",
        *,
        n_train: int = 8,
        n_valid: int = 1,
        n_test: int = 1,
        seed: int = 0,
        source: Literal["auto", "download", "simulate"] = "auto",
        device: Literal["auto", "cpu", "cuda"] = "auto",
        n_processes: int = 1,
        train_resolutions: Sequence[Sequence[int]] = (),
        **options: Any,
    ) -> None:
        super().__init__(
            dataset_name=pde.dataset_name,
            base_path=base_path,
            source="download" if source == "download" else "local",
            **options,
        )
        require_at_least(1, n_train=n_train, n_valid=n_valid, n_test=n_test, n_processes=n_processes)
        require_at_least(0, seed=seed)
        counts: dict[Split, int] = plain({"train": n_train, "valid": n_valid, "test": n_test}, "counts")
        self.simulation = Simulation(pde, counts, plain(seed, "seed"))
        self.may_use_real = source != "simulate"
        self.device = device
        self.n_processes: int = plain(n_processes, "n_processes")
        require_list(train_resolutions=train_resolutions)
        require_list(**{f"train_resolutions[{i}]": grid for i, grid in enumerate(train_resolutions)})
        self.train_resolutions: tuple[tuple[int, ...], ...] = tuple(
            tuple(plain(list(grid), "train_resolutions")) for grid in train_resolutions
        )
        train: dict[Split, int] = {"train": counts["train"]}
        self._train_simulations = [
            Simulation(_on_grid(pde, grid), train, self.simulation.seed) for grid in self.train_resolutions
        ]

    @cached_property
    def is_simulated(self) -> bool:
        """Whether the data are simulated."""
        real = super().root
        if self.source == "download" or (self.may_use_real and (real / "data").is_dir()):
            logger.info("using the data set in %s", real)
            return False
        logger.info("using simulated data in %s", self._simulated_root)
        return True

    @property
    def equation(self) -> PDE | None:
        """The equation, of simulated data."""
        return self._equation if self.is_simulated else None

    @property
    def root(self) -> Path:
        """Folder of the data set, the real or the simulated one."""
        return self._simulated_root if self.is_simulated else super().root

    def prepare_data(self) -> None:
        """Simulate the missing files, or download them if asked to; other processes wait meanwhile."""
        if not self.is_simulated:
            super().prepare_data()
            return
        device = self.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        for simulation in (self.simulation, *self._train_simulations):
            root = simulation.folder(self.base_path)
            with folder_lock(root):
                simulation.run(root, device, self.n_processes)

    @property
    def train_grids(self) -> tuple[tuple[int, ...], ...]:
        """Grids of the training's batches: those of ``train_strides``, then ``train_resolutions``.

        Raises:
            ValueError: if a stride does not fit the grid of the data, or the real data have no further grids.
        """
        if self.train_resolutions and not self.is_simulated:
            raise ValueError(
                f"train_resolutions are simulated, but the data in {self.root} are not: use train_strides, or "
                "source=simulate"
            )
        return (*super().train_grids, *self.train_resolutions)

    def _train_datasets(self, dataset: Dataset[Batch]) -> list[Dataset[Batch]]:
        """Return the samples of the train split on each of the grids of the training."""
        further = (other._augmented(other.dataset("train")) for other in self._on_further_grids)
        return [*super()._train_datasets(dataset), *further]

    @property
    def _equation(self) -> PDE:
        return self.simulation.pde

    @cached_property
    def _on_further_grids(self) -> list[Self]:
        """The train split on each of ``train_resolutions``."""
        return [self._simulated_as(simulation) for simulation in self._train_simulations]

    def setup(self, stage: str | None = None) -> None:
        """Read and check the metadata of the splits that a stage needs; in ``fit`` also statistics and caches."""
        super().setup(stage)
        if stage in ("fit", None) and self.train_resolutions and self.is_simulated:
            for other in self._on_further_grids:
                other.trainer = self.trainer
                other._caches.prepare("fit", self.trainer, other._source, splits=("train",))

    def at_resolution(self, resolution: Sequence[int]) -> WellDataModule:
        """Return the same data on another grid: simulated there, validation and test only, from the same seeds.

        Of a real data set, a coarser grid among its points; see :meth:`WellDataModule.at_resolution`.
        """
        if tuple(resolution) == self.spec.grid_shape:
            return self
        if not self.is_simulated:
            return super().at_resolution(resolution)
        if tuple(resolution) == schema_file(self.simulation.pde, "").grid_shape:
            return self._simulated_as(self.simulation)
        pde = _on_grid(self.simulation.pde, resolution)
        counts: dict[Split, int] = {split: n for split, n in self.simulation.n_trajectories.items() if split != "train"}
        return self._simulated_as(Simulation(pde, counts, self.simulation.seed))

    def _simulated_as(self, simulation: Simulation) -> Self:
        """Return the data of another simulation, on its own grid alone."""
        return self._changed(
            simulation=simulation, grid_stride=1, train_strides=(1,), train_resolutions=(), _train_simulations=[]
        )

    @cached_property
    def _simulated_root(self) -> Path:
        return self.simulation.folder(self.base_path)

    @cached_property
    def _reference(self) -> WellFile:
        """Description of the data set; an equation gives it before there is a file."""
        if self.is_simulated:
            return schema_file(self.simulation.pde, self.simulation.source)
        return super()._reference


def _on_grid(pde: PDE, resolution: Sequence[int]) -> PDE:
    """Return an equation on another grid.

    Raises:
        ValueError: if there is no such grid; names it.
    """
    try:
        return pde.at_resolution(resolution)
    except ValueError as error:
        raise ValueError(f"{type(pde).__name__} at the resolution {list(resolution)}: {error}") from None
