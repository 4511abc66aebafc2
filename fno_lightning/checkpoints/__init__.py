"""Checkpoints as files: written whole or not at all, checked before they are read, and the last one of a training."""

from fno_lightning.checkpoints.atomic import AtomicCheckpointIO, save_atomically
from fno_lightning.checkpoints.damage import DamagedCheckpointError, require_intact
from fno_lightning.checkpoints.last import last_checkpoint

__all__ = ["AtomicCheckpointIO", "DamagedCheckpointError", "last_checkpoint", "require_intact", "save_atomically"]
