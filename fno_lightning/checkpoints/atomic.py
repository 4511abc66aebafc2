"""Checkpoints that are complete or absent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Trainer
from torch.serialization import get_crc32_options

from fno_lightning.checkpoints.damage import require_intact
from fno_lightning.files import PART_SUFFIX, atomic_file


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write checkpoints such that a kill at any moment leaves the old file or the new one, and read no damaged one.

    Lightning's own plugin writes to the folder for temporary files and moves the file from there, which copies it
    where the two folders are on different disks: a kill then leaves a part of the new file in the place of the old one.
    This one writes beside the old file, waits until the disk has it, and renames it; it needs no copy of the checkpoint
    in memory. What a kill leaves, ``.<name>.<process>.part``, goes when a checkpoint of the name is written again.

    The command line uses it unless the trainer has another plugin; in Python it is
    ``Trainer(plugins=[AtomicCheckpointIO()])``. Paths with a protocol, as ``s3://``, are left to Lightning's plugin, as
    are sharded checkpoints, which strategies write themselves.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: State of the training.
            path: The file, in the place of which an older one stays until the new one is complete.
            storage_options: Not supported.

        Raises:
            OSError: if the file cannot be written; the older one is left as it is.
            TypeError: if there are ``storage_options``.
        """
        if storage_options is not None or _is_remote(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        file = Path(path)
        for leftover in file.parent.glob(f".{file.name}.*{PART_SUFFIX}"):
            leftover.unlink(missing_ok=True)
        with atomic_file(file) as temporary, temporary.open("wb") as stream:
            torch.save(checkpoint, stream)

    def load_checkpoint(
        self, path: str | Path, map_location: Callable[..., Any] | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Return a checkpoint, whose checksums are compared first.

        Args:
            path: The file.
            map_location: Where to put tensors; ``None``: where they were when it was written, as far as there is such a
                device.
            weights_only: Whether to refuse all but tensors and plain values; ``None``: to refuse it.

        Raises:
            DamagedCheckpointError: if the file is damaged.
            FileNotFoundError: if there is none.
        """
        if not _is_remote(path) and Path(path).is_file() and get_crc32_options():
            require_intact(Path(path))
        options = {} if map_location is None else {"map_location": map_location}
        checkpoint: dict[str, Any] = super().load_checkpoint(path, weights_only=weights_only is not False, **options)
        return checkpoint


def save_atomically(trainer: Trainer) -> None:
    """Give a trainer the plugin :class:`AtomicCheckpointIO`, unless it has another one than Lightning's default."""
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = AtomicCheckpointIO()


def _is_remote(path: str | Path) -> bool:
    return "://" in str(path)
