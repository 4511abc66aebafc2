"""Damage of checkpoint files, which PyTorch does not always notice."""

from __future__ import annotations

import zipfile
from pathlib import Path


class DamagedCheckpointError(ValueError):
    """A file is no checkpoint, only a part of one, or its bytes have changed since it was written."""


def require_intact(path: Path) -> None:
    """Require a checkpoint file to be complete and to have the bytes that were written, by its checksums.

    ``torch.load`` compares no checksums, so that it reads changed weights without a word. The time is that of reading
    the file once.

    Args:
        path: A file that ``torch.save`` has written, with checksums (``torch.serialization.set_crc32_options``).

    Raises:
        DamagedCheckpointError: if it is damaged; says how.
        OSError: if it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            changed = archive.testzip()
    except OSError:
        raise
    except Exception as error:  # of many kinds, for the bytes may be any
        raise DamagedCheckpointError(f"{path} is not a checkpoint, or only a part of one ({error})") from None
    if changed is not None:
        raise DamagedCheckpointError(f"{path} is damaged: the checksum of {changed} in it is wrong")
