"""Choose the splits to cache and their place, by the option, the stage and free memory; nothing else decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias, get_args

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_info
from rich.filesize import decimal

from fno_lightning.data.batch import SPLITS, Split, splits_of
from fno_lightning.data.cache.shared_memory import RamFrames
from fno_lightning.data.cache.source import FrameSource
from fno_lightning.data.cache.store import DeviceFrames, FrameStore

Cache: TypeAlias = Literal["auto", "none", "ram", "device"]


class SplitCaches:
    """The cached splits of a data module.

    ``ram`` and ``device`` cache every split that is read, and fail where there is no room. ``auto`` caches the splits
    that a training reads in every epoch, in the first place of which they fill no more than half: the device that
    trains, then main memory; it caches nothing where a stage reads every sample once.

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
        self._may_use_device = True
        self._stores: dict[Split, FrameStore] = {}

    def keep_off_device(self) -> None:
        """Choose no device from now on, for a mixture, whose batches are put together in main memory."""
        self._may_use_device = False

    def emptied(self) -> SplitCaches:
        """Return caches by the same policy that hold nothing yet, for the same data on another grid."""
        other = SplitCaches(self.cache)
        other._may_use_device = self._may_use_device
        return other

    def prepare(
        self,
        stage: str | None,
        trainer: Trainer | None,
        source: Callable[[Split], FrameSource],
        splits: Sequence[Split] = SPLITS,
    ) -> None:
        """Cache the splits that a stage reads, and drop those on another device than the one that trains now.

        Args:
            stage: The stage; ``None``: all.
            trainer: The trainer, if there is one.
            source: Makes the source of a split.
            splits: Splits that there are.

        Raises:
            MemoryError, OSError, ValueError: see :meth:`fill`.
        """
        if trainer is not None:
            self.keep_only(trainer.strategy.root_device)
        self._fill([split for split in self._splits(stage, trainer) if split in splits], trainer, source)

    def frames(
        self, split: Split, trainer: Trainer | None, source: Callable[[Split], FrameSource]
    ) -> FrameStore | None:
        """Return the cached frames of a split that is about to be read, ``None`` if it is read from its files.

        Raises:
            MemoryError, OSError, ValueError: see :meth:`fill`.
        """
        if self.cache in ("ram", "device"):
            self._fill([split], trainer, source)
        return self.store(split)

    def store(self, split: Split) -> FrameStore | None:
        """Return the cached frames of a split, if there are any."""
        return self._stores.get(split)

    def keep_only(self, device: torch.device) -> None:
        """Drop the frames on any other device than the one that trains now."""
        for split, store in list(self._stores.items()):
            if isinstance(store, DeviceFrames) and store.device != device:
                del self._stores[split]

    def fill(self, sources: Mapping[Split, FrameSource], device: torch.device | None) -> None:
        """Read splits into memory, and log the place and the reason.

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
        place = _ram(missing) if self.cache == "ram" else _device(missing, device or _any_device())
        if 0 < place.free < place.n_bytes:
            raise MemoryError(
                f"cache={place.kind} needs {decimal(place.n_bytes)} for {' and '.join(missing)}, but "
                f"{decimal(place.free)} are free {place.name}: use another cache, or less of the data (fields, "
                "grid_stride, subsample or include_filters)"
            )
        self._take(place)

    def _splits(self, stage: str | None, trainer: Trainer | None) -> Sequence[Split]:
        """Return the splits to cache for a stage."""
        if self.cache != "auto":
            return splits_of(stage)
        if stage not in ("fit", None) or getattr(trainer, "fast_dev_run", False):
            return ()
        return [split for split in splits_of(stage) if split != "test"]

    def _fill(self, splits: Sequence[Split], trainer: Trainer | None, source: Callable[[Split], FrameSource]) -> None:
        if self.cache == "none":
            return
        device = trainer.strategy.root_device if trainer is not None and self._may_use_device else None
        self.fill({split: source(split) for split in splits if split not in self._stores}, device)

    def _choose(self, sources: Mapping[Split, FrameSource], device: torch.device | None) -> None:
        """Take the first place of which the splits fill no more than half."""
        on_device = [] if device is None or device.type == "cpu" else [_device(sources, device)]
        refused = []
        for place in (*on_device, _ram(sources)):
            if 2 * place.n_bytes > place.free:
                refused.append(
                    f"{decimal(place.n_bytes)} are more than half of {decimal(place.free)} free {place.name}"
                )
                continue
            try:
                self._take(place)
            except (OSError, torch.OutOfMemoryError) as error:
                refused.append(str(error))
                continue
            return
        rank_zero_info(f"cache: none, {'; '.join(refused)}")

    def _take(self, place: _Place) -> None:
        for store in place.stores.values():
            _ = store.tensors
        self._stores.update(place.stores)
        rank_zero_info(f"cache: {place.kind}, {decimal(place.n_bytes)} of {decimal(place.free)} free {place.name}")


class _Place(NamedTuple):
    """A place where splits may be cached.

    Attributes:
        kind: The option that names it.
        name: Its name in messages.
        stores: A store for each split.
        n_bytes: Bytes that they need together.
        free: Bytes that are free for them.
    """

    kind: str
    name: str
    stores: dict[Split, FrameStore]
    n_bytes: int
    free: int


def _ram(sources: Mapping[Split, FrameSource]) -> _Place:
    return _place("ram", "memory", {split: RamFrames(source) for split, source in sources.items()})


def _device(sources: Mapping[Split, FrameSource], device: torch.device) -> _Place:
    name = "memory" if device.type == "cpu" else f"on {device}"
    return _place("device", name, {split: DeviceFrames(source, device) for split, source in sources.items()})


def _place(kind: str, name: str, stores: Mapping[Split, FrameStore]) -> _Place:
    n_bytes = sum(store.n_missing for store in stores.values())
    return _Place(kind, name, dict(stores), n_bytes, next(iter(stores.values())).free_bytes())


def _any_device() -> torch.device:
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
