"""Samples of a data set that lies in memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from fno_lightning.data.batch import Batch, Precisions
from fno_lightning.data.cache.store import DeviceFrames, FrameStore
from fno_lightning.data.loading import BatchBuffers
from fno_lightning.data.windows import SlidingWindows, Window, common_length


class CachedWindowDataset(Dataset[Batch]):
    """Windows of cached trajectories: the same samples as :class:`~fno_lightning.data.WindowDataset`, without a read.

    A batch is gathered where the frames are. On an accelerator that is the only work: the loader's process sends the
    positions of the windows, and nothing else, to the device.

    Args:
        store: The cached frames.
        windows: Position of each sample.
        n_steps_input: Frames of a window that are history; the others are the target.
        dt_stride: Distance between successive frames of a window.
        buffers: Memory of the batches in main memory.
    """

    def __init__(
        self,
        store: FrameStore,
        windows: Sequence[Window],
        n_steps_input: int,
        dt_stride: int,
        buffers: BatchBuffers | None = None,
    ) -> None:
        self.store = store
        self.windows = windows
        self.n_steps_input = n_steps_input
        self.dt_stride = dt_stride
        self._buffers = buffers or BatchBuffers()
        self._positions = _positions(windows, store.source.rows)

    @property
    def precisions(self) -> Precisions:
        """Types of the numbers in the batches."""
        return Precisions(*(part.dtype for part in self.store.tensors))

    @property
    def is_on_device(self) -> bool:
        """Whether batches are made on the device that trains."""
        return isinstance(self.store, DeviceFrames)

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, index: int) -> Batch:
        return Batch(*(part[0] for part in self.__getitems__([index])))

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return the samples of several windows as one batch.

        Raises:
            ValueError: if the windows have different lengths.
        """
        chosen = self._positions[torch.as_tensor(indices)]
        n_steps_output = _common(chosen[:, 2])
        rows = chosen[:, :1] + self.dt_stride * torch.arange(self.n_steps_input + n_steps_output)
        parts = (rows[:, : self.n_steps_input], rows[:, self.n_steps_input :], chosen[:, 1])
        frames, constants, scalars = self.store.tensors
        sent = torch.cat([part.flatten() for part in parts]).to(frames.device, non_blocking=True)
        history, target, trajectories = (
            numbers.view(part.shape)
            for numbers, part in zip(torch.split(sent, [part.numel() for part in parts]), parts, strict=True)
        )
        return Batch(
            history=self._gather(frames, history),
            constants=self._gather(constants, trajectories),
            scalars=scalars.index_select(0, trajectories),
            target=self._gather(frames, target),
        )

    def _gather(self, values: Tensor, rows: Tensor) -> Tensor:
        """Return ``(*rows, *row)``; a part of a batch is dense, so that it can be sent to a device as it is."""
        if values.device.type != "cpu":
            return values.index_select(0, rows.flatten()).view(*rows.shape, *values.shape[1:])
        out = self._buffers.empty(*rows.shape, *values.shape[1:], dtype=values.dtype)
        if out.numel():
            torch.index_select(values.flatten(1), 0, rows.flatten(), out=out.view(rows.numel(), -1))
        return out


def _positions(windows: Sequence[Window], rows: dict[tuple[int, int], tuple[int, int]]) -> Tensor:
    """Return first frame, trajectory and output length of each window, in the cache's numbers, ``(window, 3)``."""
    if not isinstance(windows, SlidingWindows):
        table = []
        for file, trajectory, start, n_steps_output in windows:
            row, first = rows[file, trajectory]
            table.append((first + start, row, n_steps_output))
        return torch.tensor(table, dtype=torch.long).view(-1, 3)
    parts = []
    for (file, trajectory, _), n in zip(windows.trajectories, windows.counts, strict=True):
        row, first = rows[file, trajectory]
        starts = first + windows.window_stride * torch.arange(n)
        parts.append(torch.stack((starts, *torch.tensor([row, windows.n_steps_output])[:, None].expand(2, n)), dim=1))
    return torch.cat(parts) if parts else torch.empty(0, 3, dtype=torch.long)


def _common(lengths: Tensor) -> int:
    """Return the length that all windows of a batch have."""
    shortest, longest = int(lengths.min()), int(lengths.max())
    return shortest if shortest == longest else common_length(lengths.tolist())
