"""Memory for batches, used again once nobody refers to it."""

from __future__ import annotations

import math
import weakref
from collections import deque
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

MAX_BUFFERS = 8
"""Buffers that a process keeps; with more batches alive at once, the others are ordinary memory."""


class _Buffer(NamedTuple):
    """Memory and the last array that was handed out of it, which lives as long as any tensor on it."""

    values: np.ndarray
    user: weakref.ref[np.ndarray]


class BatchBuffers:
    """Hands out float32 tensors whose memory is taken again when the last tensor or array on it is gone.

    The pages of a large fresh tensor are mapped by the system one at a time while it is first written, which takes as
    long as the copy itself. Whoever keeps a batch keeps its memory: it is never handed out twice at once.

    Args:
        pin_memory: Hand out page-locked memory, in processes other than a loader's workers; PyTorch's own allocator
            then takes it again after pending copies to a GPU, and a loader that pins has nothing left to copy.
    """

    def __init__(self, *, pin_memory: bool = False) -> None:
        self.pin_memory = pin_memory
        self._buffers: deque[_Buffer] = deque()

    def empty(self, *shape: int) -> Tensor:
        """Returns a tensor with arbitrary values."""
        if self.pin_memory and get_worker_info() is None:
            return torch.empty(shape, pin_memory=True)
        size = math.prod(shape)
        if size == 0:
            return torch.empty(shape)
        return torch.from_numpy(self._take(size)).view(shape)

    def _take(self, size: int) -> np.ndarray:
        values = self._free(size)
        if values is None:
            values = np.empty(size, np.float32)
        array = values[:]
        self._buffers.append(_Buffer(values, weakref.ref(array)))
        if len(self._buffers) > MAX_BUFFERS:
            self._buffers.popleft()
        return array

    def _free(self, size: int) -> np.ndarray | None:
        """Takes a buffer that nobody refers to out of the queue; that is atomic, so threads cannot take the same."""
        for _ in range(len(self._buffers)):
            try:
                buffer = self._buffers.popleft()
            except IndexError:
                return None
            if buffer.values.size == size and buffer.user() is None:
                return buffer.values
            self._buffers.append(buffer)
        return None

    def __getstate__(self) -> dict[str, Any]:
        return {"pin_memory": self.pin_memory, "_buffers": deque()}
