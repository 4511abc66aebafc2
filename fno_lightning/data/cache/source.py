"""The part of a split that is cached, and its reader."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fno_lightning.data.finite import (
    narrowed,
    require_finite_constants,
    require_finite_frames,
    trajectory_location,
)
from fno_lightning.data.hdf5 import Resampling, WellFile, WellReader
from fno_lightning.data.hdf5.file import scalar_tables
from fno_lightning.data.windows import TrajectoryKey

PIECE_BYTES = 64 * 2**20
"""Largest part of a trajectory that is read at once."""


class CachedFrames(NamedTuple):
    """The trajectories of a split, one after the other, each part in the precision of the files.

    Attributes:
        frames: ``(frame, field, *grid)``.
        constants: ``(trajectory, constant_field, *grid)``.
        scalars: ``(trajectory, scalar)``.
    """

    frames: Tensor
    constants: Tensor
    scalars: Tensor


class FrameSource:
    """The frames, constant fields and scalars of a list of trajectories, as a cache holds them.

    Args:
        files: Metadata of the files.
        trajectories: Trajectories to hold, in the order in which they are stored.
        fields: Components of time-dependent fields, in the order of the files.
        constant_fields: Components of the fields without time dependence, in the order of the files.
        scalars: Names of the scalars that are constant in time.
        grid_stride: Distance between successive grid points.
        resampling: Resampling of the stored points before that; ``None``: there is none.
    """

    def __init__(
        self,
        files: Sequence[WellFile],
        trajectories: Sequence[TrajectoryKey],
        fields: Sequence[str],
        constant_fields: Sequence[str],
        scalars: Sequence[str],
        grid_stride: int = 1,
        resampling: Resampling | None = None,
    ) -> None:
        self.trajectories = tuple(trajectories)
        self.fields = tuple(fields)
        self.constant_fields = tuple(constant_fields)
        self.grid_shape = tuple(-(-n // grid_stride) for n in files[0].grid_shape)
        ends = [0, *itertools.accumulate(key.n_frames for key in self.trajectories)]
        self.n_frames = ends[-1]
        self.rows = {
            key[:2]: (row, first) for row, (key, first) in enumerate(zip(self.trajectories, ends, strict=False))
        }
        """Number and first frame of each trajectory, by file and trajectory in it."""
        self.grid_stride = grid_stride
        self.resampled_axes = () if resampling is None else resampling.axes
        self._reader = WellReader(files, fields, constant_fields, grid_stride, resampling)
        self.frames_dtype, self.constants_dtype = self._reader.frames_dtype, self._reader.constants_dtype
        tables = scalar_tables(files, scalars)
        self.scalars = torch.stack([tables[key.file][key.trajectory] for key in self.trajectories])

    @property
    def frames_shape(self) -> tuple[int, ...]:
        """``(frame, field, *grid)``."""
        return self.n_frames, len(self.fields), *self.grid_shape

    @property
    def constants_shape(self) -> tuple[int, ...]:
        """``(trajectory, constant_field, *grid)``."""
        return len(self.trajectories), len(self.constant_fields), *self.grid_shape

    @property
    def n_bytes(self) -> int:
        """Size of the frames and the constant fields."""
        return self.frames_bytes + math.prod(self.constants_shape) * self.constants_dtype.itemsize

    @property
    def frames_bytes(self) -> int:
        """Size of the frames, up to the next multiple of eight, where the constant fields may begin."""
        return -(-math.prod(self.frames_shape) * self.frames_dtype.itemsize // 8) * 8

    @property
    def key(self) -> str:
        """Hash of the contents: it changes with the files and with everything that is chosen from them."""
        files = self._reader.files
        used = [files[number] for number in sorted({key.file for key in self.trajectories})]
        paths = [path for file in used for path in (file.path, *(p for field in file.fields for p in field.elsewhere))]
        identities = [
            (str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in dict.fromkeys(paths)
        ]
        points = (self.grid_stride, self.resampled_axes)
        dtypes = (self.frames_dtype, self.constants_dtype)
        chosen = (identities, self.trajectories, self.fields, self.constant_fields, points, dtypes)
        return hashlib.sha256(repr(chosen).encode()).hexdigest()[:32]

    def read(self, frames: Tensor, constants: Tensor, report: Callable[[float], None]) -> None:
        """Read everything, trajectory by trajectory.

        Args:
            frames: Output for the frames, ``(frame, field, *grid)``, on any device.
            constants: Output for the constant fields, ``(trajectory, constant_field, *grid)``.
            report: Called with the fraction that is done.

        Raises:
            ValueError: if a value is not finite; names its field, frame, trajectory and file.
        """
        n_at_once = max(1, PIECE_BYTES // (self.frames_dtype.itemsize * math.prod(self.frames_shape[1:])))
        done = 0
        for row, key in enumerate(self.trajectories):
            self._read_constants(key, constants[row])
            for start in range(0, key.n_frames, n_at_once):
                n = min(n_at_once, key.n_frames - start)
                self._read_frames(key, start, frames[done : done + n])
                done += n
                report(done / self.n_frames)
        self._reader.release()

    def _read_frames(self, key: TrajectoryKey, start: int, out: Tensor) -> None:
        piece = out if out.device.type == "cpu" else torch.empty(out.shape, dtype=self.frames_dtype)
        values = piece.numpy()
        self._reader.read_frames(key.file, key.trajectory, start, 1, values[:0], values)
        require_finite_frames(piece, range(start, start + len(piece)), self.fields, self._location(key))
        if piece is not out:
            out.copy_(narrowed(piece, out.dtype, f"the fields of {self._location(key)}"))

    def _read_constants(self, key: TrajectoryKey, out: Tensor) -> None:
        piece = out if out.device.type == "cpu" else torch.empty(out.shape, dtype=self.constants_dtype)
        self._reader.read_constants(key.file, key.trajectory, piece.numpy())
        require_finite_constants(piece, self.constant_fields, self._location(key))
        if piece is not out:
            out.copy_(narrowed(piece, out.dtype, f"the constant fields of {self._location(key)}"))

    def _location(self, key: TrajectoryKey) -> str:
        return trajectory_location(key.trajectory, self._reader.files[key.file].path)
