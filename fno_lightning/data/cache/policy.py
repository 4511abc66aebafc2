"""Where the data of a run are kept: chosen by what is free, and said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias, get_args

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_info
from rich.filesize import decimal

from fno_lightning.data.batch import Split
from fno_lightning.data.cache.source import FrameSource
from fno_lightning.data.cache.store import DeviceFrames, FrameStore, RamFrames

Cache: TypeAlias = Literal["auto", "none", "ram", "device"]


class SplitCaches:
    """The cached splits of a data module.

    Args:
        cache: ``none``, ``ram``, ``device`` or, to choose among them, ``auto``; see
            :class:`~fno_lightning.data.WellDataModule`.

    Raises:
        ValueError: if there is no such option.
    """

    def __init__(self, cache: Cache) -> None:
        if cache not in get_args(Cache):
            raise ValueError(f"cache is {cache!r}, expected 'auto', 'none', 'ram' or 'device'")
        self.cache = cache
        self._stores: dict[Split, FrameStore] = {}

    def store(self, split: Split) -> FrameStore | None:
        """Returns the cached frames of a split, if there are any."""
        return self._stores.get(split)

    def keep_only(self, device: torch.device) -> None:
        """Lets go of what is on another device than the one that trains now."""
        for split, store in list(self._stores.items()):
            if isinstance(store, DeviceFrames) and store.device != device:
                del self._stores[split]

    def fill(self, sources: Mapping[Split, FrameSource], device: torch.device | None) -> None:
        """Reads splits into memory and logs where they are and why.

        Args:
            sources: The splits; those that are cached already stay as they are.
            device: The device that trains; if it is not known, ``device`` takes the accelerator of the machine or its
                main memory, and ``auto`` no device.

        Raises:
            MemoryError: if the option names a place that has not enough room.
            OSError: if there is not enough room for files in memory.
            ValueError: if a value is not finite.
        """
        missing = {split: source for split, source in sources.items() if split not in self._stores}
        if not missing or self.cache == "none":
            return
        if self.cache == "auto":
            self._choose(missing, device)
            return
        kind = self.cache
        stores = _stores(missing, None if kind == "ram" else device or _any_device())
        n_bytes, free = _sizes(stores.values())
        place = _place(stores.values())
        if 0 < free < n_bytes:
            raise MemoryError(
                f"cache={kind} needs {decimal(n_bytes)} for {' and '.join(missing)}, but {decimal(free)} are free "
                f"{place}: use another cache, or less of the data (fields, grid_stride, subsample or include_filters)"
            )
        self._take(stores)
        rank_zero_info(f"cache: {kind}, {decimal(n_bytes)} of {decimal(free)} free {place}")

    def _choose(self, sources: Mapping[Split, FrameSource], device: torch.device | None) -> None:
        """Takes the first place of which the splits fill no more than half."""
        refused = []
        for kind, place in (("device", device), ("ram", None)):
            if kind == "device" and (place is None or place.type == "cpu"):
                continue
            stores = _stores(sources, place)
            n_bytes, free = _sizes(stores.values())
            size = f"{decimal(free)} free {_place(stores.values())}"
            if 2 * n_bytes > free:
                refused.append(f"{decimal(n_bytes)} are more than half of {size}")
                continue
            try:
                self._take(stores)
            except (OSError, torch.OutOfMemoryError) as error:
                refused.append(str(error))
                continue
            rank_zero_info(f"cache: {kind}, {decimal(n_bytes)} of {size}")
            return
        rank_zero_info(f"cache: none, {'; '.join(refused)}")

    def _take(self, stores: Mapping[Split, FrameStore]) -> None:
        for store in stores.values():
            _ = store.tensors
        self._stores.update(stores)


def training_device(trainer: Trainer | None) -> torch.device | None:
    """Returns the device that trains; ``None`` without a trainer."""
    return None if trainer is None else trainer.strategy.root_device


def _any_device() -> torch.device:
    return torch.accelerator.current_accelerator() or torch.device("cpu")


def _stores(sources: Mapping[Split, FrameSource], device: torch.device | None) -> dict[Split, FrameStore]:
    """Returns places for the splits: on a device, or in the memory of the machine."""
    if device is None:
        return {split: RamFrames(source) for split, source in sources.items()}
    return {split: DeviceFrames(source, device) for split, source in sources.items()}


def _sizes(stores: Iterable[FrameStore]) -> tuple[int, int]:
    """Bytes that the stores need together, and bytes that are free for them."""
    stores = list(stores)
    return sum(store.n_missing for store in stores), stores[0].free_bytes()


def _place(stores: Iterable[FrameStore]) -> str:
    store = next(iter(stores))
    return f"on {store.device}" if isinstance(store, DeviceFrames) and store.device.type != "cpu" else "memory"
