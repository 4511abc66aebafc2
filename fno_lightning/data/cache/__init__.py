"""Trajectories kept in memory: of the machine, or of the device that trains."""

from fno_lightning.data.cache.dataset import CachedWindowDataset
from fno_lightning.data.cache.policy import Cache, SplitCaches, training_device
from fno_lightning.data.cache.source import FrameSource
from fno_lightning.data.cache.store import DeviceFrames, FrameStore, RamFrames

__all__ = [
    "Cache",
    "CachedWindowDataset",
    "DeviceFrames",
    "FrameSource",
    "FrameStore",
    "RamFrames",
    "SplitCaches",
    "training_device",
]
