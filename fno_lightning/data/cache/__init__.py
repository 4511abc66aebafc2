"""Trajectories in memory: of the machine, or of the device that trains."""

from fno_lightning.data.cache.dataset import CachedWindowDataset
from fno_lightning.data.cache.policy import Cache, SplitCaches
from fno_lightning.data.cache.shared_memory import RamFrames
from fno_lightning.data.cache.source import FrameSource
from fno_lightning.data.cache.store import DeviceFrames, FrameStore

__all__ = [
    "Cache",
    "CachedWindowDataset",
    "DeviceFrames",
    "FrameSource",
    "FrameStore",
    "RamFrames",
    "SplitCaches",
]
