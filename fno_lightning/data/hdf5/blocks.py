"""Read whole fields in blocks of frames, for everything that looks at every value once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fno_lightning.data.hdf5.entry import Entry
from fno_lightning.data.hdf5.file import WellField

BLOCK_BYTES = 2**25
"""Size of the values that are read at a time."""


class FrameBlock(NamedTuple):
    """Successive frames of a trajectory.

    Attributes:
        trajectory: Number of the trajectory; 0 if all share the field.
        start: Number of the first frame.
        n_new: Number of frames that no block before has had.
        frames: These frames and the first of those that follow, ``(frame, point, component)``.
    """

    trajectory: int
    start: int
    n_new: int
    frames: np.ndarray


def frame_blocks(
    entry: Entry, field: WellField, n_following: int = 1, trajectories: Sequence[int] | None = None
) -> Iterator[FrameBlock]:
    """Yield the frames of a field in order, one trajectory after the other.

    Args:
        entry: The open data set of the field.
        field: Its flags and shape.
        n_following: Frames that a block has in common with those that follow it, for differences in time.
        trajectories: Trajectories to read; all unless given. A field that all share is read if there is at least one.

    Raises:
        EntryError: if HDF5 fails to read; names the file and the field.
    """
    n_frames = field.shape[field.sample_varying] if field.time_varying else 1
    n_components = len(field.components)
    n_at_once = max(1, BLOCK_BYTES // (field.frame_size * field.dtype.itemsize))
    if trajectories is None:
        trajectories = range(field.shape[0] if field.sample_varying else 1)
    for trajectory in trajectories if field.sample_varying else [0] * bool(trajectories):
        for start in range(0, n_frames, n_at_once):
            frames = slice(start, start + n_at_once + n_following)
            index = (trajectory,) * field.sample_varying + (frames,) * field.time_varying
            values = entry.read(index).reshape(-1, field.frame_size // n_components, n_components)
            yield FrameBlock(trajectory, start, min(n_at_once, n_frames - start), values)
