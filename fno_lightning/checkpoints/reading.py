"""The content of checkpoint files, of which only tensors and plain values are loaded."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fno_lightning.checkpoints.damage import DamagedCheckpointError, require_intact

_KINDS: Mapping[str, type] = {
    "state_dict": Mapping,
    "hyper_parameters": Mapping,
    "loops": Mapping,
    "callbacks": Mapping,
    "bands": Mapping,
    "certified_range": Mapping,
    "random_state": Mapping,
    "kept_modes": Mapping,
    "adapters": Mapping,
    "training_grids": list,
    "optimizer_states": list,
    "lr_schedulers": list,
    "epoch": int,
    "global_step": int,
    "pytorch-lightning_version": str,
}
"""Parts of a checkpoint, and what each is."""
_UNSAFE = re.compile(r"GLOBAL (\S+)")


def read_checkpoint(path: Path, *, mmap: bool = False) -> dict[str, Any]:
    """Return the content of an undamaged file, without running any code that it may hold.

    Args:
        path: A file that ``torch.save`` has written.
        mmap: Whether tensors stay in the file until they are used.

    Raises:
        DamagedCheckpointError: if the file is damaged, holds more than tensors and plain values, or no checkpoint or
            state dict; says what.
        OSError: if it cannot be read.
    """
    require_intact(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except OSError:
        raise
    except Exception as error:  # of many kinds, for the bytes may be any
        found = _UNSAFE.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if found:
            raise DamagedCheckpointError(
                f"{path} holds more than tensors and plain values ({found[1]}), which may run any code when it is "
                "loaded"
            ) from None
        said = " ".join(str(error).split()) or type(error).__name__
        raise DamagedCheckpointError(f"{path} is not a checkpoint, or only a part of one ({said[:200]})") from None
    require_parts(content, path)
    return dict(content)


def require_parts(content: Any, path: Path) -> None:
    """Require what is in a checkpoint, or a state dict, to be of the kind that it should be.

    Raises:
        DamagedCheckpointError: if a part is something else; names it.
    """
    if not isinstance(content, Mapping):
        raise DamagedCheckpointError(f"{path} holds a {type(content).__name__}, expected a checkpoint or a state dict")
    for name, kind in _KINDS.items():
        if content.get(name) is not None and not isinstance(content[name], kind):
            raise DamagedCheckpointError(
                f"{path} is damaged: its {name} is {str(content[name])[:50]!r}, expected a {kind.__name__.lower()}"
            )
    if "hyper_parameters" in content and content.get("state_dict") is None:
        raise DamagedCheckpointError(f"{path} is damaged: it has no state_dict, the weights")
