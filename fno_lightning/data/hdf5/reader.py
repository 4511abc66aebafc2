"""Read windows of trajectories from open files."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from fno_lightning.data.hdf5.file import WellField, WellFile
from fno_lightning.data.hdf5.open_files import OpenFiles
from fno_lightning.data.hdf5.resampling import Resampling
from fno_lightning.data.precision import batch_dtype, torch_dtype


class Cut(NamedTuple):
    """Consecutive points along one axis of a grid, without the others.

    Attributes:
        axis: Number of the axis.
        first: First point.
        end: Point after the last.
    """

    axis: int
    first: int
    end: int


class Channels(NamedTuple):
    """The channels that the components of one field fill.

    Attributes:
        field: The field.
        components: Numbers of the chosen components.
        channels: The channels that they fill.
        grid_stride: Distance between successive grid points.
        resampling: Resampling of the stored points before that.
        cut: Points of the grid to read; ``None``: all.
    """

    field: WellField
    components: list[int]
    channels: slice
    grid_stride: int
    resampling: Resampling | None = None
    cut: Cut | None = None

    @property
    def region(self) -> tuple[slice, ...]:
        """Index of the grid's first axes by which the points of the cut are read, and no others; else empty."""
        field, cut = self.field, self.cut
        if cut is None:
            return ()
        n_stored = len(field.shape) - field.sample_varying - field.time_varying - field.order
        is_resampled = self.resampling is not None and self.resampling.axes[cut.axis]
        if n_stored != len(field.grid) or field.grid[cut.axis] == 1 or is_resampled:
            return ()
        stride = self.grid_stride
        return (*(slice(None),) * cut.axis, slice(cut.first * stride, (cut.end - 1) * stride + 1, stride))

    def arrange(self, values: np.ndarray, n_leading: int) -> np.ndarray:
        """Bring stored values into the order of a batch.

        Args:
            values: ``(*leading, *grid, *component)``; axes along which nothing varies may be absent.
            n_leading: Number of leading axes: 1 for frames, 0 for a constant field.

        Returns:
            ``(*leading, channel, *grid)``, with one point along the axes along which nothing varies.
        """
        grid, region = list(self.field.grid), self.region
        steps = [slice(None, None, self.grid_stride)] * len(grid)
        if self.cut is not None and region:
            grid[self.cut.axis], steps[self.cut.axis] = self.cut.end - self.cut.first, slice(None)
        values = values.reshape(*values.shape[:n_leading], *grid, len(self.field.components))
        values = np.moveaxis(values, -1, n_leading)
        if self.resampling is not None:
            values = self.resampling.apply(values, n_leading + 1)
        index: Any = (..., *steps)
        values = values[index]
        if self.cut is not None and not region and grid[self.cut.axis] > 1:
            values = values.take(range(self.cut.first, self.cut.end), axis=n_leading + 1 + self.cut.axis)
        if len(self.components) == len(self.field.components):
            return values
        return values.take(self.components, axis=n_leading)


class WellReader:
    """Reader of chosen components of the fields of a list of files, channels before the grid.

    Files are opened on first use, once for each process, so that a reader can be sent to worker processes; all readers
    of a process share its file descriptors (:class:`~fno_lightning.data.hdf5.open_files.OpenFiles`). No metadata are
    read again. Fields that lie in a file in one piece are mapped into memory and copied once, from the system's page
    cache to the batch; all others are read through the HDF5 library, chunks being decoded once for the windows that
    share them (:class:`~fno_lightning.data.hdf5.chunks.ChunkedFrames`).

    Args:
        files: Metadata of the files.
        fields: Components of time-dependent fields, in the order of the files.
        constant_fields: Components of the fields without time dependence, in the order of the files.
        grid_stride: Distance between successive grid points.
        resampling: Resampling of the stored points before that; ``None``: there is none.
    """

    def __init__(
        self,
        files: Sequence[WellFile],
        fields: Sequence[str],
        constant_fields: Sequence[str],
        grid_stride: int = 1,
        resampling: Resampling | None = None,
    ) -> None:
        self.files = tuple(files)
        points = (grid_stride, resampling)
        self._varying = [_channels(file, fields, *points, time_varying=True) for file in self.files]
        self._constant = [_channels(file, constant_fields, *points, time_varying=False) for file in self.files]
        self._open = OpenFiles()
        self.frames_dtype = _dtype(self._varying)
        """Precision of the time-dependent fields that are read: float64 where a file has one stored so."""
        self.constants_dtype = _dtype(self._constant)
        """Precision of the fields without time dependence that are read."""

    def along(self, cut: Cut) -> WellReader:
        """Return a reader of the same fields on a part of the grid."""
        other = copy.copy(self)
        other._varying, other._constant = (
            [[channels._replace(cut=cut) for channels in of_file] for of_file in of_files]
            for of_files in (self._varying, self._constant)
        )
        other._open = OpenFiles()
        return other

    def read_frames(
        self, file: int, trajectory: int, start: int, dt_stride: int, history: np.ndarray, target: np.ndarray
    ) -> None:
        """Fill ``history`` and ``target`` with successive frames.

        Args:
            file: Number of the file.
            trajectory: Number of the trajectory in the file.
            start: First frame.
            dt_stride: Distance between successive frames.
            history: First part of the window, ``(T_in, field, *grid)``.
            target: Second part, ``(T_out, field, *grid)``.
        """
        opened = self._open.get(self.files[file])
        n_steps_input = len(history)
        frames = slice(start, start + dt_stride * (n_steps_input + len(target) - 1) + 1, dt_stride)
        for channels in self._varying[file]:
            source = opened.sources[channels.field.path]
            leading = (trajectory, frames) if channels.field.sample_varying else (frames,)
            stored = source[(*leading, *channels.region)]
            values = channels.arrange(stored, 1)
            for number, channel in enumerate(range(channels.channels.start, channels.channels.stop)):
                history[:, channel] = values[:n_steps_input, number]
                target[:, channel] = values[n_steps_input:, number]

    def read_constants(self, file: int, trajectory: int, constants: np.ndarray) -> None:
        """Fill ``constants`` with the fields without time dependence, ``(constant_field, *grid)``."""
        if not self._constant[file]:
            return
        opened = self._open.get(self.files[file])
        for channels in self._constant[file]:
            source = opened.sources[channels.field.path]
            index = (*((trajectory,) if channels.field.sample_varying else ()), *channels.region)
            stored = source[index] if index else source
            constants[channels.channels] = channels.arrange(stored, 0)

    def release(self) -> None:
        """Close the files and drop decoded chunks; both come back with the next read."""
        self._open.close()


def _dtype(of_files: Sequence[Sequence[Channels]]) -> torch.dtype:
    return torch_dtype(batch_dtype(channels.field.dtype for of_file in of_files for channels in of_file))


def _channels(
    file: WellFile, names: Sequence[str], grid_stride: int, resampling: Resampling | None, *, time_varying: bool
) -> list[Channels]:
    wanted = set(names)
    result: list[Channels] = []
    first = 0
    for field in file.fields:
        components = [number for number, name in enumerate(field.components) if name in wanted]
        if field.time_varying is time_varying and components:
            channels = slice(first, first + len(components))
            result.append(Channels(field, components, channels, grid_stride, resampling))
            first += len(components)
    return result
