"""Decoded chunks of HDF5 data sets, kept for the windows that follow."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any, TypeAlias

import h5py
import numpy as np

CACHE_BYTES = 256 * 2**20
"""Memory that a process spends on decoded chunks; those unused for longest are dropped first."""

_Key: TypeAlias = tuple[str, str, tuple[tuple[Any, Any, Any], ...], tuple[int, ...]]


class ChunkCache:
    """The blocks that were decoded last, of all files that a process has open.

    Args:
        n_bytes: Largest memory.
    """

    def __init__(self, n_bytes: int = CACHE_BYTES) -> None:
        self.n_bytes = n_bytes
        self._used = 0
        self._blocks: OrderedDict[_Key, np.ndarray] = OrderedDict()

    def get(self, key: _Key) -> np.ndarray | None:
        """Return a block if it is kept."""
        if key in self._blocks:
            self._blocks.move_to_end(key)
        return self._blocks.get(key)

    def put(self, key: _Key, block: np.ndarray) -> None:
        """Keep a block, and drop others to make room for it."""
        self._blocks[key] = block
        self._used += block.nbytes
        while self._used > self.n_bytes:
            self._used -= self._blocks.popitem(last=False)[1].nbytes


class ChunkedFrames:
    """A chunked data set that decodes every chunk once for the windows that share it.

    It is read in blocks of whole chunks: those of some trajectories and frames, over the whole grid or a region of it.
    Indexed like the data set itself, by a trajectory if the trajectories differ, then by a slice of frames if it
    depends on time, and then, for a region, by slices of the grid.

    Args:
        dataset: The data set.
        cache: Holder of the blocks.
        n_leading: Number of axes before the grid: 2 for trajectory and time, 1 for either, of at least one.
    """

    def __init__(self, dataset: h5py.Dataset, cache: ChunkCache, n_leading: int) -> None:
        self._dataset = dataset
        self._cache = cache
        self._name = (dataset.file.filename, dataset.name)
        self._sizes: tuple[int, ...] = dataset.chunks[:n_leading]
        n_bytes = math.prod((*self._sizes, *dataset.shape[n_leading:])) * dataset.dtype.itemsize
        self._is_small = n_bytes <= cache.n_bytes // 4

    def __getitem__(self, index: Any) -> np.ndarray:
        if not self._is_small:
            values: np.ndarray = self._dataset[index]
            return values
        parts = index if isinstance(index, tuple) else (index,)
        parts, region = parts[: len(self._sizes)], parts[len(self._sizes) :]
        return self._frames(parts[:-1], parts[-1], region) if isinstance(parts[-1], slice) else self._at(parts, region)

    def _frames(self, trajectory: tuple[int, ...], frames: slice, region: tuple[slice, ...]) -> np.ndarray:
        """Return frames of a trajectory, block by block."""
        n_leading, size = len(self._sizes), self._sizes[-1]
        numbers = np.arange(self._dataset.shape[n_leading - 1])[frames]
        shape = list(self._dataset.shape[n_leading:])
        shape[: len(region)] = [len(range(n)[part]) for n, part in zip(shape, region, strict=False)]
        out = np.empty((len(numbers), *shape), self._dataset.dtype)
        for number in np.unique(numbers // size):
            chosen = numbers // size == number
            position = (*trajectory, int(number) * size)
            inside = tuple(part % n for part, n in zip(trajectory, self._sizes, strict=False))
            out[chosen] = self._block(position, region)[inside][numbers[chosen] % size]
        return out

    def _at(self, position: tuple[int, ...], region: tuple[slice, ...]) -> np.ndarray:
        """Return the values at one position of the leading axes."""
        inside = tuple(part % size for part, size in zip(position, self._sizes, strict=True))
        values: np.ndarray = self._block(position, region)[inside]
        return values

    def _block(self, position: tuple[int, ...], region: tuple[slice, ...]) -> np.ndarray:
        """Return the block of whole chunks around a position of the leading axes, of a region of the grid."""
        number = tuple(part // size for part, size in zip(position, self._sizes, strict=True))
        key = (*self._name, tuple((part.start, part.stop, part.step) for part in region), number)
        block = self._cache.get(key)
        if block is None:
            edges = zip(number, self._sizes, strict=True)
            block = self._dataset[(*(slice(n * size, (n + 1) * size) for n, size in edges), *region)]
            self._cache.put(key, block)
        return block
