"""Paths in a parsed configuration: replaced where they hold ``~`` or variables, and checked before anything is made."""

from __future__ import annotations

import zipfile
from argparse import Namespace
from typing import Any

from fno_lightning.files import expanded_path

_FOLDERS = ("default_root_dir", "save_dir", "dirpath", "root_dir", "log_dir")
"""Options of the Trainer, its loggers, callbacks and profilers that are folders."""

_SHARDED = ("meta.pt", ".metadata", "checkpoint")
"""Entries of a checkpoint that is a folder: those of FSDP, of distributed tensors and of DeepSpeed."""

_WORDS = ("best", "last", "hpc")
"""What a path may be instead: a checkpoint of the training that a trainer has made."""


def with_expanded_paths(trainer: Any, option: str = "trainer") -> Any:
    """Return the options of a trainer with the same folder for a path, whichever of Lightning's classes takes it.

    Some of them replace ``~`` and variables, others one of the two or none.

    Args:
        trainer: The options, or a part of them, changed in place.
        option: Their name, for the message.

    Raises:
        ValueError: if a variable is not set.
    """
    if isinstance(trainer, list):
        return [with_expanded_paths(entry, f"{option}[{i}]") for i, entry in enumerate(trainer)]
    if isinstance(trainer, Namespace | dict):
        entries = trainer if isinstance(trainer, dict) else vars(trainer)
        for name, value in entries.items():
            full_name = f"{option}.{name}"
            if name in _FOLDERS and isinstance(value, str) and "://" not in value:
                entries[name] = str(expanded_path(value, f"--{full_name}")) if value else value
            else:
                entries[name] = with_expanded_paths(value, full_name)
    return trainer


def checked_checkpoint(subcommand: str, path: str | None) -> str | None:
    """Return the path of a checkpoint; exit with an explanation if it is needed and missing, or none."""
    if subcommand == "fit" and path in (None, *_WORDS):
        return path
    if path is None:
        raise SystemExit(
            f"{subcommand} needs a trained model: pass --ckpt_path, for example "
            "--ckpt_path runs/trl2d/version_0/checkpoints/best.ckpt"
        )
    if "://" in path:
        return path
    file = expanded_path(path, "--ckpt_path")
    if not file.exists():
        hint = ", and the training that has it is over: pass its path" if path in _WORDS else ""
        raise SystemExit(f"--ckpt_path {path}: there is no such file{hint}")
    if file.is_dir() and not any((file / name).exists() for name in _SHARDED):
        found = sorted(near for pattern in ("*.ckpt", "checkpoints/*.ckpt") for near in file.glob(pattern))
        hint = f", did you mean {found[0]}?" if found else ", and there is no checkpoint in it"
        raise SystemExit(f"--ckpt_path {path}: this is a folder, not a checkpoint{hint}")
    if file.is_file() and not zipfile.is_zipfile(file):
        hint = "; --ckpt_path last takes the newest one that can be read" if subcommand == "fit" else ""
        raise SystemExit(f"--ckpt_path {path}: this is not a checkpoint, or only a part of one{hint}")
    return str(file)


def check_initial_weights(path: str | None) -> None:
    """Exit, before data are generated, if the initial weights are missing."""
    if path is not None and not expanded_path(path, "initial_weights").is_file():
        raise SystemExit(f"initial_weights {path}: there is no such file")
