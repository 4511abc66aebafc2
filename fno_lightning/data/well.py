"""Data sets in The Well's format."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from fno_lightning.arguments import plain, require_list
from fno_lightning.data.base import FieldDataModule, NotPreparedError, require_at_least
from fno_lightning.data.batch import SPLITS, Split, splits_of
from fno_lightning.data.cache import Cache, CachedWindowDataset, FrameSource, SplitCaches
from fno_lightning.data.finite import trajectory_location
from fno_lightning.data.hdf5 import (
    Resampling,
    UnevenTime,
    WellFile,
    WindowDataset,
    download_well,
    file_spec,
    is_data_file,
    load_statistics,
    long_trajectories,
    matching_stride,
    read_split,
    read_well_file,
    require_one_time_step,
    selected_components,
    split_files,
    uniform_resampling,
)
from fno_lightning.data.loading import BatchBuffers, consecutive
from fno_lightning.data.statistics import Statistics
from fno_lightning.data.windows import SlidingWindows, TrajectoryKey, Window, whole_trajectories
from fno_lightning.field_spec import FieldSpec
from fno_lightning.files import PathText, expanded_path, folder_lock

logger = logging.getLogger(__name__)


class WellDataModule(FieldDataModule):
    """A data set in The Well's HDF5 format: one of The Well, or the user's own.

    The folder ``<base_path>/<dataset_name>``, or ``<base_path>/datasets/<dataset_name>`` where the_well's downloader
    puts it, holds ``data/train``, ``data/valid`` and ``data/test`` with the HDF5 files, and ``stats.yaml`` with the
    statistics of the train split, which are computed where they are missing.

    Args:
        dataset_name: Name of the data set's folder.
        base_path: Folder of the data sets; ``~`` and variables such as ``$DATA`` are replaced.
        n_steps_input: Frames that a forecast starts from; 0 for a steady problem.
        n_steps_output: Frames to be predicted.
        dt_stride: Distance in stored frames between successive steps.
        window_stride: Distance in stored frames between the beginnings of successive training samples.
        eval_window_stride: The same for validation, test and prediction; 1 evaluates every sample there is.
        fields: Names of the time-dependent fields to use, or of single components such as ``velocity_x``; all unless
            given. Channels keep the order of the files.
        include_filters: Use only files whose name contains one of these.
        exclude_filters: Leave out files whose name contains one of these.
        subsample: Keep every n-th trajectory of the train split, counted over the sorted files, so that the
            parameters stay balanced; for studies of how much data a model needs.
        grid_stride: Keep every n-th grid point along each axis, to train or test at a lower resolution.
        max_rollout_steps: Largest number of steps in a full trajectory's target; all unless given.
        resample: ``uniform`` brings fields on uneven axes (a Chebyshev grid) to as many evenly spaced points of the
            same domain, which Fourier and cosine bases need; their mean over the domain stays. ``grid_stride`` then
            keeps every n-th of these points, and statistics are those of the resampled fields.
        uneven_time: ``refuse``, or ``ignore`` frames at uneven times and trajectories with different time steps in a
            file; the time step is the mean of the first file then.
        source: ``local``: the data are on disk; ``download``: what is missing is downloaded from The Well.
        cache: Where the data are kept during a run. ``none``: they are read from the files for every batch. ``ram``: in
            main memory, one copy for all processes of a machine. ``device``: on the accelerator, one copy for each,
            where the windows are gathered too; worker processes are not used then. ``auto``: for a training, what fits
            into half of the free memory of the accelerator, else of the machine, else ``none``; what was chosen and why
            is logged. The batches are the same in all cases.
        **loader_options: Batch sizes and options of the loaders, see :class:`FieldDataModule`.

    Raises:
        ValueError: if a count or a stride is too small, ``fields`` is empty, or a variable in ``base_path`` is not set.
        TypeError: if a count is no whole number, or one text is given for a list.
    """

    _alternative_to_download = ""
    """Another way to have such data, which the error of a failed download names."""

    def __init__(
        self,
        dataset_name: str,
        base_path: PathText = "datasets",
        *,
        n_steps_input: int = 4,
        n_steps_output: int = 1,
        dt_stride: int = 1,
        window_stride: int = 1,
        eval_window_stride: int = 1,
        fields: Sequence[str] | None = None,
        include_filters: Sequence[str] = (),
        exclude_filters: Sequence[str] = (),
        subsample: int = 1,
        grid_stride: int = 1,
        max_rollout_steps: int | None = None,
        resample: Literal["uniform"] | None = None,
        uneven_time: UnevenTime = "refuse",
        source: Literal["local", "download"] = "local",
        cache: Cache = "auto",
        **loader_options: Any,
    ) -> None:
        super().__init__(**loader_options)
        require_at_least(0, n_steps_input=n_steps_input)
        require_at_least(1, n_steps_output=n_steps_output, dt_stride=dt_stride, max_rollout_steps=max_rollout_steps)
        require_at_least(1, window_stride=window_stride, eval_window_stride=eval_window_stride, subsample=subsample)
        require_at_least(1, grid_stride=grid_stride)
        require_list(fields=fields, include_filters=include_filters, exclude_filters=exclude_filters)
        if fields is not None and len(fields) == 0:
            raise ValueError("fields is empty, expected at least one name: leave it out to use all fields")
        if resample not in (None, "uniform"):
            raise ValueError(f"resample is {resample!r}, expected 'uniform', or None to take the points as they are")
        if uneven_time not in get_args(UnevenTime):
            raise ValueError(f"uneven_time is {uneven_time!r}, expected 'refuse' or 'ignore'")
        self.dataset_name = dataset_name
        self.base_path = expanded_path(base_path, "base_path")
        self.n_steps_input = plain(n_steps_input, "n_steps_input")
        self.n_steps_output: int = plain(n_steps_output, "n_steps_output")
        self.dt_stride: int = plain(dt_stride, "dt_stride")
        self.window_stride: int = plain(window_stride, "window_stride")
        self.eval_window_stride: int = plain(eval_window_stride, "eval_window_stride")
        self.fields: list[str] | None = plain(fields, "fields")
        self.include_filters: list[str] = plain(include_filters, "include_filters")
        self.exclude_filters: list[str] = plain(exclude_filters, "exclude_filters")
        self.subsample: int = plain(subsample, "subsample")
        self.grid_stride: int = plain(grid_stride, "grid_stride")
        self.max_rollout_steps: int | None = plain(max_rollout_steps, "max_rollout_steps")
        self.resample = resample
        self.uneven_time = uneven_time
        self.source = source
        self.cache = cache
        self._caches = SplitCaches(cache)
        self._reset()

    def _reset(self) -> None:
        self._files: dict[Split, list[WellFile]] = {}
        self._datasets: dict[Split, WindowDataset | CachedWindowDataset] = {}
        self._rollout_datasets: dict[Split, WindowDataset | CachedWindowDataset] = {}
        self._caches = self._caches.emptied()

    @property
    def root(self) -> Path:
        """Folder of the data set."""
        own, downloaded = self.base_path / self.dataset_name, self.base_path / "datasets" / self.dataset_name
        return own if (own / "data").is_dir() or not (downloaded / "data").is_dir() else downloaded

    @cached_property
    def spec(self) -> FieldSpec:
        """Description of the data set, from its first file.

        Raises:
            NotPreparedError: if the data set must first be downloaded; ``prepare_data`` does it.
        """
        file = self._reference
        if file.time_varying_scalars:
            logger.warning("scalars that depend on time are left out: %s", ", ".join(file.time_varying_scalars))
        is_steady = self.n_steps_input == 0 or file.n_frames == 1
        return file_spec(
            file,
            fields=selected_components(file, self.fields),
            time_step=None if is_steady else self.dt_stride * file.frame_interval,
            source=file.source or f"{self.source}: {self.root}",
            grid_stride=self.grid_stride,
            is_resampled=self._resampling is not None,
        )

    @cached_property
    def statistics(self) -> Statistics:
        """Statistics of the train split: from ``stats.yaml``, missing entries computed.

        With ``dt_stride`` > 1 differences between steps are others, with ``subsample`` > 1 only the trajectories that
        are used count, and resampled fields have statistics of their own, so the file is another:
        ``stats_stride_<n>_subsample_<n>_resample_uniform.yaml``.
        """
        strides = {"stride": self.dt_stride, "subsample": self.subsample}
        names = [f"{what}_{stride}" for what, stride in strides.items() if stride > 1]
        names += [] if self._resampling is None else [f"resample_{self.resample}"]
        name = "_".join(["stats", *names])
        is_whole = not self.include_filters and not self.exclude_filters
        files = self._split("train")
        kept: list[list[int]] = [[] for _ in files]
        for key in self._trajectories("train"):
            kept[key.file].append(key.trajectory)
        with folder_lock(self.root):
            return load_statistics(
                self.root / f"{name}.yaml",
                files,
                self.spec,
                dt_stride=self.dt_stride,
                trajectories=None if self.subsample == 1 else kept,
                resampling=self._resampling,
                save=is_whole,
            )

    def prepare_data(self) -> None:
        """Download what the downloader's folder lacks, if asked to."""
        if self.source == "download" and not (self.base_path / self.dataset_name / "data").is_dir():
            with folder_lock(self.base_path):
                download_well(self.base_path, self.dataset_name, self._alternative_to_download)

    def setup(self, stage: str | None = None) -> None:
        """Read and check the metadata of the splits that a stage needs; in ``fit`` also statistics and caches."""
        for split in splits_of(stage):
            self._trajectories(split)
        if stage in ("fit", None):
            _ = self.statistics
        self._caches.prepare(stage, self.trainer, self._source)
        self._datasets, self._rollout_datasets = {}, {}

    def dataset(self, split: Split) -> WindowDataset | CachedWindowDataset:
        """Return the windows of a split."""
        if split not in self._datasets:
            stride = self.window_stride if split == "train" else self.eval_window_stride
            keys = self._trajectories(split)
            windows = SlidingWindows(keys, self.n_steps_input, self.n_steps_output, self.dt_stride, stride)
            self._datasets[split] = self._windows(split, windows)
        return self._datasets[split]

    def rollout_dataset(self, split: Split) -> WindowDataset | CachedWindowDataset:
        """Return the full trajectories of a split."""
        if split not in self._rollout_datasets:
            keys = self._trajectories(split)
            windows = whole_trajectories(keys, self.n_steps_input, self.dt_stride, self.max_rollout_steps)
            self._rollout_datasets[split] = self._windows(split, windows)
        return self._rollout_datasets[split]

    def beginnings(self, split: Split) -> WindowDataset | CachedWindowDataset:
        """Return the trajectories of a split with their histories alone."""
        windows = whole_trajectories(self._trajectories(split), self.n_steps_input, self.dt_stride)
        return self._windows(split, [window._replace(n_steps_output=0) for window in windows])

    def rollout_batches(self, split: Split) -> list[list[int]]:
        """Return trajectories of equal length in batches of at most ``rollout_batch_size``."""
        groups: dict[int, list[int]] = defaultdict(list)
        for index, window in enumerate(self.rollout_dataset(split).windows):
            groups[window.n_steps_output].append(index)
        return [batch for group in groups.values() for batch in consecutive(group, self.rollout_batch_size)]

    def keep_off_device(self) -> None:
        """Keep the data off the device that trains, whatever is free there: for batches made in main memory."""
        self._caches.keep_off_device()

    def at_resolution(self, resolution: Sequence[int]) -> WellDataModule:
        """Return the same data on a coarser grid, whose points are every second, third and so on of the files'.

        Raises:
            ValueError: if there is no such grid among the files' points.
        """
        return self._changed(grid_stride=matching_stride(self._reference, resolution))

    @property
    def _needs_download(self) -> bool:
        """Whether there are no files of the data set yet, and ``prepare_data`` downloads them."""
        return self.source == "download" and not any(map(is_data_file, self.root.glob("data/[!.]*/*")))

    @cached_property
    def _reference(self) -> WellFile:
        """The first file of the first split there is, which describes the data set."""
        if self._needs_download:
            raise NotPreparedError(
                f"the data set '{self.dataset_name}' is not in {self.root} yet: call prepare_data() first, which "
                "downloads it (gigabytes, for most data sets of The Well)"
            )
        folders = [self.root / "data" / split for split in SPLITS]
        folder = next((folder for folder in folders if folder.is_dir()), folders[0])
        return read_well_file(split_files(folder, self.include_filters, self.exclude_filters)[0])

    @cached_property
    def _resampling(self) -> Resampling | None:
        """The resampling of uneven axes, if it is asked for and there are any."""
        if self.resample is None:
            return None
        file = self._reference
        resampling = uniform_resampling(file)
        if resampling is None:
            logger.info("the axes of %s are even, so nothing is resampled", self.root)
            return None
        axes = ", ".join(axis for axis, is_resampled in zip(file.axes, resampling.axes, strict=True) if is_resampled)
        logger.info("fields of %s are resampled to evenly spaced points along %s", self.root, axes)
        return resampling

    def sample_name(self, split: Split, index: int) -> str:
        """Return file, trajectory and frames of a sample."""
        window = self.dataset(split).windows[index]
        last = window.start + self.dt_stride * (self.n_steps_input + window.n_steps_output - 1)
        where = trajectory_location(window.trajectory, self._split(split)[window.file].path)
        return f"frames {window.start} to {last} of {where}"

    def _split(self, split: Split) -> list[WellFile]:
        if split not in self._files:
            paths = split_files(self.root / "data" / split, self.include_filters, self.exclude_filters)
            files = read_split(paths, self._reference)
            require_one_time_step(files, self.uneven_time)
            self._files[split] = files
        return self._files[split]

    def _trajectories(self, split: Split) -> list[TrajectoryKey]:
        """The trajectories of a split that are used, in the order of its files."""
        keys = long_trajectories(self._split(split), self.n_steps_input, self.n_steps_output, self.dt_stride)
        return keys[:: self.subsample] if split == "train" else keys

    def _windows(self, split: Split, windows: Sequence[Window]) -> WindowDataset | CachedWindowDataset:
        buffers = BatchBuffers(pin_memory=self.pin_memory and self.num_workers == 0 and torch.cuda.is_available())
        if store := self._caches.frames(split, self.trainer, self._source):
            return CachedWindowDataset(store, windows, self.n_steps_input, self.dt_stride, buffers)
        return WindowDataset(
            self._split(split),
            windows,
            n_steps_input=self.n_steps_input,
            dt_stride=self.dt_stride,
            buffers=buffers,
            **self._content,
        )

    @property
    def _content(self) -> dict[str, Any]:
        """Parts to read from the files."""
        spec = self.spec
        parts = {"fields": spec.fields, "constant_fields": spec.constant_fields, "scalars": spec.scalars}
        return parts | {"grid_stride": self.grid_stride, "resampling": self._resampling}

    def _source(self, split: Split) -> FrameSource:
        return FrameSource(self._split(split), self._trajectories(split), **self._content)
