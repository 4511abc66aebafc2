"""Windows of trajectories, one for each sample."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from typing import NamedTuple, overload


class TrajectoryKey(NamedTuple):
    """A trajectory of a list of files."""

    file: int
    trajectory: int
    n_frames: int


class Window(NamedTuple):
    """Frames of a trajectory: input frames followed by output frames.

    Attributes:
        file: Number of the file.
        trajectory: Number of the trajectory in the file.
        start: First frame.
        n_steps_output: Number of frames to be predicted.
    """

    file: int
    trajectory: int
    start: int
    n_steps_output: int


def n_windows(n_frames: int, n_steps: int, dt_stride: int = 1, window_stride: int = 1) -> int:
    """Return the number of windows in a trajectory.

    Args:
        n_frames: Frames of the trajectory.
        n_steps: Frames of a window, input and output together.
        dt_stride: Distance between successive frames of a window.
        window_stride: Distance between the beginnings of successive windows.
    """
    n_starts = n_frames - dt_stride * (n_steps - 1)
    return max(0, -(-n_starts // window_stride))


class SlidingWindows(Sequence[Window]):
    """All windows of a fixed length, trajectory by trajectory; nothing is stored for a single window.

    Args:
        trajectories: The trajectories.
        n_steps_input: Input frames of a window.
        n_steps_output: Output frames of a window.
        dt_stride: Distance between successive frames of a window.
        window_stride: Distance between the beginnings of successive windows.
    """

    def __init__(
        self,
        trajectories: Sequence[TrajectoryKey],
        n_steps_input: int,
        n_steps_output: int,
        dt_stride: int = 1,
        window_stride: int = 1,
    ) -> None:
        self.trajectories = tuple(trajectories)
        self.n_steps_output = n_steps_output
        self.window_stride = window_stride
        n_steps = n_steps_input + n_steps_output
        self.counts = [n_windows(key.n_frames, n_steps, dt_stride, window_stride) for key in self.trajectories]
        self._ends = list(itertools.accumulate(self.counts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> Window: ...
    @overload
    def __getitem__(self, index: slice) -> list[Window]: ...
    def __getitem__(self, index: int | slice) -> Window | list[Window]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        index %= len(self)
        number = bisect.bisect_right(self._ends, index)
        file, trajectory, _ = self.trajectories[number]
        position = index - (self._ends[number - 1] if number else 0)
        return Window(file, trajectory, position * self.window_stride, self.n_steps_output)


def common_length(lengths: Sequence[int]) -> int:
    """Return the length that all windows of a batch have.

    Raises:
        ValueError: if they differ.
    """
    different = sorted(set(lengths))
    if len(different) != 1:
        raise ValueError(f"trajectories of different lengths {different} cannot be stacked: use batches of one")
    return different[0]


def whole_trajectories(
    trajectories: Sequence[TrajectoryKey],
    n_steps_input: int,
    dt_stride: int = 1,
    max_steps: int | None = None,
) -> list[Window]:
    """Return one window for each trajectory: input frames from the beginning, then all that follow.

    Every frame that the stride reaches is used. The Well's own full trajectories end one step earlier where the number
    of frames is no multiple of the stride.

    Args:
        trajectories: The trajectories.
        n_steps_input: Input frames of a window.
        dt_stride: Distance between successive frames of a window.
        max_steps: Largest number of output frames; ``None`` for no limit.
    """
    windows = []
    for file, trajectory, n_frames in trajectories:
        n_following = (n_frames - 1) // dt_stride + 1 - n_steps_input
        windows.append(Window(file, trajectory, 0, min(n_following, max_steps or n_following)))
    return windows
