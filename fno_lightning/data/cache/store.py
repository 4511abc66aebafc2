"""Where the frames of a split are cached: in memory that processes share, or on a device."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from rich.filesize import decimal
from torch import Tensor

from fno_lightning.data.cache.memory import free_on, free_ram
from fno_lightning.data.cache.shared_file import SharedFile
from fno_lightning.data.cache.source import CachedFrames, FrameSource
from fno_lightning.data.loading import process_rank
from fno_lightning.progress import progress_bar

SHOWN_BYTES = 2**30
"""From this size on, the progress of reading is shown."""


class FrameStore(ABC):
    """The frames of a split in memory, read at the first use in each process.

    Args:
        source: What to hold.
        device: Where the tensors are.
    """

    def __init__(self, source: FrameSource, device: torch.device) -> None:
        self.source = source
        self.device = device
        self._tensors: CachedFrames | None = None

    @property
    def tensors(self) -> CachedFrames:
        """The frames, constant fields and scalars.

        Raises:
            ValueError: if a value that is read is not finite.
        """
        if self._tensors is None:
            self._tensors = self._open()
        return self._tensors

    @property
    def n_missing(self) -> int:
        """Bytes that are still to be taken; none if another process has taken them already."""
        return self.source.n_bytes

    @abstractmethod
    def free_bytes(self) -> int:
        """Bytes of memory that are free where the store lies."""

    @abstractmethod
    def _open(self) -> CachedFrames: ...

    def _read(self, frames: Tensor, constants: Tensor) -> None:
        if self.source.n_bytes < SHOWN_BYTES or process_rank() > 0:
            self.source.read(frames, constants, lambda _: None)
            return
        with progress_bar(f"Reading {decimal(self.source.n_bytes)} into memory") as report:
            self.source.read(frames, constants, report)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_tensors": None}


class RamFrames(FrameStore):
    """One copy in main memory for all processes of a machine that use the same part of the same files."""

    def __init__(self, source: FrameSource) -> None:
        super().__init__(source, torch.device("cpu"))
        self._file = SharedFile(source.key, max(source.n_bytes, 1))

    @property
    def n_missing(self) -> int:
        """Bytes that no other process has taken yet."""
        return 0 if self._file.exists() else self.source.n_bytes

    def free_bytes(self) -> int:
        """Free main memory."""
        return free_ram()

    def _open(self) -> CachedFrames:
        return self._divide(self._file.open(lambda memory: self._read(*self._divide(memory)[:2])))

    def _divide(self, memory: np.ndarray) -> CachedFrames:
        source = self.source
        values = torch.from_numpy(memory[: source.n_bytes].view(np.float32))
        n_frames = math.prod(source.frames_shape)
        frames, constants = values[:n_frames], values[n_frames:]
        return CachedFrames(frames.view(source.frames_shape), constants.view(source.constants_shape), source.scalars)


class DeviceFrames(FrameStore):
    """A copy on the device that trains, of this process alone."""

    def free_bytes(self) -> int:
        """Free memory of the device."""
        return free_ram() if self.device.type == "cpu" else free_on(self.device)

    def _open(self) -> CachedFrames:
        source = self.source
        frames = torch.empty(source.frames_shape, device=self.device)
        constants = torch.empty(source.constants_shape, device=self.device)
        self._read(frames, constants)
        return CachedFrames(frames, constants, source.scalars.to(self.device))
