"""Data modules of irregular data: point clouds of any size."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal, get_args

from torch.utils.data import Dataset

from fno_lightning.arguments import plain
from fno_lightning.data.base import FieldDataModule, require_at_least
from fno_lightning.data.batch import Batch, Split
from fno_lightning.data.clouds import (
    CloudDataset,
    CloudTensors,
    PointCloud,
    cloud_spec,
    cloud_statistics,
    cloud_tensors,
)
from fno_lightning.data.statistics import Statistics
from fno_lightning.data.windows import SlidingWindows, TrajectoryKey, whole_trajectories
from fno_lightning.field_spec import FieldSpec


class CloudDataModule(FieldDataModule):
    """Data whose points lie anywhere and differ in number from sample to sample; a subclass says where they are from.

    Samples lie in memory. Those of a batch are padded to equally many points, which changes no loss, metric, statistic
    or gradient: ``point_weight``, one of the constant fields, is 0 there, and :attr:`FieldSpec.positions` names those
    that are the coordinates.

    Args:
        dataset_name: Name of the data set.
        n_steps_input: Frames that a forecast starts from; 0 for a steady problem.
        n_steps_output: Frames to be predicted.
        time_step: Time between two frames; needed where there is more than one.
        padding: Points of a batch: ``batch``: as many as the largest of its clouds has; ``longest``: as the largest of
            all splits, for networks that are compiled for one shape.
        **loader_options: Batch sizes and options of the loaders, see :class:`FieldDataModule`.

    Raises:
        ValueError: if an option is out of range, or one of those for grids (``train_strides``, ``augment``) is given.
    """

    def __init__(
        self,
        dataset_name: str,
        *,
        n_steps_input: int = 0,
        n_steps_output: int = 1,
        time_step: float | None = None,
        padding: Literal["batch", "longest"] = "batch",
        **loader_options: Any,
    ) -> None:
        super().__init__(**loader_options)
        require_at_least(0, n_steps_input=n_steps_input)
        require_at_least(1, n_steps_output=n_steps_output)
        if self.train_strides != (1,) or self.augment:
            raise ValueError("train_strides and augment are for fields on a grid, not for irregular points")
        if n_steps_input > 0 and time_step is None:
            raise ValueError(f"n_steps_input is {n_steps_input}, so there are several frames: give their time_step")
        if padding not in ("batch", "longest"):
            raise ValueError(f"padding is {padding!r}, expected 'batch' or 'longest'")
        self.dataset_name = dataset_name
        self.n_steps_input = plain(n_steps_input, "n_steps_input")
        self.n_steps_output: int = plain(n_steps_output, "n_steps_output")
        self.time_step: float | None = plain(time_step, "time_step")
        self.padding = padding
        self._reset()

    def _reset(self) -> None:
        self._tensors: dict[Split, list[CloudTensors]] = {}

    @property
    @abstractmethod
    def source(self) -> str:
        """Where the data are from."""

    @abstractmethod
    def clouds(self, split: Split) -> Sequence[PointCloud]:
        """Return the samples of a split, or its trajectories."""

    @cached_property
    def spec(self) -> FieldSpec:
        """Description of the data, from the train split."""
        steady = self.n_steps_input == 0
        time_step = None if steady else self.time_step
        return cloud_spec(self.clouds("train"), self.dataset_name, time_step=time_step, source=self.source)

    @cached_property
    def statistics(self) -> Statistics:
        """Statistics of the train split, in which points count by their weight."""
        return cloud_statistics(self.tensors("train"), self.spec)

    def tensors(self, split: Split) -> list[CloudTensors]:
        """Return the samples of a split as channels.

        Raises:
            ValueError: if there are none, or one is too short for a window.
        """
        if split not in self._tensors:
            clouds = self.clouds(split)
            if not clouds:
                raise ValueError(f"the split {split} of {self.dataset_name!r} has no samples")
            tensors = [cloud_tensors(cloud, self.spec) for cloud in clouds]
            needed = self.n_steps_input + self.n_steps_output
            for cloud, parts in zip(clouds, tensors, strict=True):
                if len(parts.frames) < needed or (self.n_steps_input == 0 and len(parts.frames) > 1):
                    raise ValueError(
                        f"{cloud.name} has {len(parts.frames)} frames, but n_steps_input={self.n_steps_input} and "
                        f"n_steps_output={self.n_steps_output} need {needed}, and a steady problem (n_steps_input=0) "
                        "exactly 1"
                    )
            self._tensors[split] = tensors
        return self._tensors[split]

    def dataset(self, split: Split) -> Dataset[Batch]:
        """Return all windows of a split."""
        return self._dataset(split, SlidingWindows(self._keys(split), self.n_steps_input, self.n_steps_output))

    def rollout_dataset(self, split: Split) -> Dataset[Batch]:
        """Return the full trajectories of a split."""
        return self._dataset(split, whole_trajectories(self._keys(split), self.n_steps_input))

    def _dataset(self, split: Split, windows: Any) -> Dataset[Batch]:
        return CloudDataset(self.tensors(split), windows, self.n_steps_input, self._n_points)

    def _keys(self, split: Split) -> list[TrajectoryKey]:
        return [TrajectoryKey(0, i, len(cloud.frames)) for i, cloud in enumerate(self.tensors(split))]

    @property
    def _n_points(self) -> int | None:
        """Points of every batch; ``None``: as many as its largest cloud has."""
        if self.padding == "batch":
            return None
        return max(cloud.constants.shape[-1] for split in get_args(Split) for cloud in self.tensors(split))


class PointCloudDataModule(CloudDataModule):
    """Point clouds that lie in memory as tensors.

    Args:
        train: Samples of the train split, or trajectories.
        valid: Those of the validation split.
        test: Those of the test split.
        dataset_name: Name of the data set.
        **options: Windows, padding and loaders, see :class:`CloudDataModule`.
    """

    run_time_arguments: ClassVar[Sequence[str]] = ("train", "valid", "test")

    def __init__(
        self,
        train: Sequence[PointCloud],
        valid: Sequence[PointCloud],
        test: Sequence[PointCloud],
        dataset_name: str = "point_clouds",
        **options: Any,
    ) -> None:
        super().__init__(dataset_name, **options)
        self._clouds: Mapping[Split, Sequence[PointCloud]] = {"train": train, "valid": valid, "test": test}

    @property
    def source(self) -> str:
        """Where the data are from."""
        return "tensors"

    def clouds(self, split: Split) -> Sequence[PointCloud]:
        """Return the samples of a split."""
        return self._clouds[split]
