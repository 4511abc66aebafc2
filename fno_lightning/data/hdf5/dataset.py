"""Samples of a data set in The Well's format."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch.utils.data import Dataset

from fno_lightning.data.batch import Batch, Precisions
from fno_lightning.data.finite import (
    all_finite,
    require_finite_constants,
    require_finite_frames,
    trajectory_location,
)
from fno_lightning.data.hdf5.file import WellFile, scalar_tables
from fno_lightning.data.hdf5.reader import Cut, WellReader
from fno_lightning.data.hdf5.resampling import Resampling
from fno_lightning.data.loading import BatchBuffers
from fno_lightning.data.windows import Window, common_length


class WindowDataset(Dataset[Batch]):
    """Windows of trajectories, in physical units and the precision of the files, channels before the grid.

    History and target are float64 where one of the fields is stored so, else float32, and so are constant fields and
    scalars.

    The samples are those of ``the_well.data.WellDataset`` without normalisation, in the same order. A list of indices
    is read into one batch without a copy in between (``__getitems__``, which a ``DataLoader`` calls).

    Args:
        files: Metadata of the files, all on one grid.
        windows: Position of each sample in the files.
        n_steps_input: Frames of a window that are history; the others are the target.
        dt_stride: Distance between successive frames of a window.
        fields: Components of time-dependent fields, in the order of the files.
        constant_fields: Components of the fields without time dependence, in the order of the files.
        scalars: Names of the scalars that are constant in time.
        grid_stride: Distance between successive grid points.
        resampling: Resampling of the stored points before that; ``None``: there is none.
        buffers: Memory of the batches.
    """

    def __init__(
        self,
        files: Sequence[WellFile],
        windows: Sequence[Window],
        n_steps_input: int,
        dt_stride: int,
        fields: Sequence[str],
        constant_fields: Sequence[str],
        scalars: Sequence[str],
        grid_stride: int = 1,
        resampling: Resampling | None = None,
        buffers: BatchBuffers | None = None,
    ) -> None:
        self.windows = windows
        self.n_steps_input = n_steps_input
        self.dt_stride = dt_stride
        self.fields = tuple(fields)
        self.constant_fields = tuple(constant_fields)
        self.grid_shape = tuple(-(-n // grid_stride) for n in files[0].grid_shape)
        self._reader = WellReader(files, fields, constant_fields, grid_stride, resampling)
        self._scalars = scalar_tables(files, scalars)
        self.precisions = Precisions(self._reader.frames_dtype, self._reader.constants_dtype, self._scalars[0].dtype)
        self._buffers = buffers or BatchBuffers()

    def along(self, cut: Cut) -> WindowDataset:
        """Return the same samples on a part of the grid; nothing else is read where the files allow it."""
        other = copy.copy(self)
        other._reader = self._reader.along(cut)
        other.grid_shape = (*self.grid_shape[: cut.axis], cut.end - cut.first, *self.grid_shape[cut.axis + 1 :])
        return other

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Batch:
        return Batch(*(part[0] for part in self.__getitems__([index])))

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return the samples of several windows as one batch.

        Raises:
            ValueError: if the windows have different lengths, or a value that was read is not finite.
        """
        windows = [self.windows[index] for index in indices]
        batch = self._allocate(len(windows), common_length([window.n_steps_output for window in windows]))
        history, constants, target = batch.history.numpy(), batch.constants.numpy(), batch.target.numpy()
        for row, (file, trajectory, start, _) in enumerate(windows):
            self._reader.read_frames(file, trajectory, start, self.dt_stride, history[row], target[row])
            self._reader.read_constants(file, trajectory, constants[row])
            batch.scalars[row] = self._scalars[file][trajectory]
        self._check_finite(batch, windows)
        return batch

    def _allocate(self, n_samples: int, n_steps_output: int) -> Batch:
        empty, grid, (frames, constants, scalars) = self._buffers.empty, self.grid_shape, self.precisions
        n_fields, n_constants, n_scalars = len(self.fields), len(self.constant_fields), self._scalars[0].shape[1]
        return Batch(
            history=empty(n_samples, self.n_steps_input, n_fields, *grid, dtype=frames),
            constants=empty(n_samples, n_constants, *grid, dtype=constants),
            scalars=torch.empty(n_samples, n_scalars, dtype=scalars),
            target=empty(n_samples, n_steps_output, n_fields, *grid, dtype=frames),
        )

    def _check_finite(self, batch: Batch, windows: Sequence[Window]) -> None:
        if all_finite(batch.history, batch.constants, batch.target):
            return
        for row, window in enumerate(windows):
            location = trajectory_location(window.trajectory, self._reader.files[window.file].path)
            frames = torch.cat([batch.history[row], batch.target[row]])
            numbers = range(window.start, window.start + self.dt_stride * len(frames), self.dt_stride)
            require_finite_frames(frames, numbers, self.fields, location)
            require_finite_constants(batch.constants[row], self.constant_fields, location)
