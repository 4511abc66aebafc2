"""The last checkpoint of a training, which it goes on from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from fno_lightning.checkpoints.damage import DamagedCheckpointError, require_intact


def last_checkpoint(trainer: Trainer) -> str | None:
    """Return the checkpoint that a training goes on from: the newest one that is complete and undamaged.

    It is looked for in the folders of the trainer's ``ModelCheckpoint`` callbacks; where they are those of a new
    version of a logger, in the newest earlier version that has checkpoints. Files whose names begin with ``last`` come
    first, then all others that hold the state of a training, each by time. Damaged ones are named in a warning.

    ``trainer.fit(module, data, ckpt_path=last_checkpoint(trainer))`` is what ``fit --ckpt_path last`` does. Lightning's
    own ``ckpt_path="last"`` fails on a damaged file, and begins anew in each new version of a logger.

    Args:
        trainer: A trainer that has not begun.

    Returns:
        The path; ``None`` if there is no checkpoint yet; ``"last"``, for Lightning to find, if a folder is remote.

    Raises:
        DamagedCheckpointError: if there are checkpoints, and none of them can be read.
    """
    savers = (callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint))
    folders = [_folder(saver, trainer) for saver in savers]
    if any("://" in folder for folder in folders):
        return "last"
    paths = [Path(folder) for folder in dict.fromkeys(folders)]
    files = _checkpoints(paths) or _of_earlier_version(paths)
    if not files:
        rank_zero_info(
            f"the training begins: there is no checkpoint yet in {', '.join(map(str, paths)) or 'any folder'}"
        )
        return None
    damaged: list[str] = []
    for file in files:
        try:
            step = _step_of(file)
        except (DamagedCheckpointError, OSError) as error:
            damaged.append(str(error))
            continue
        if step is None:
            continue
        goes_on = f"the training goes on from {file}, at step {step}"
        if damaged:
            rank_zero_warn(f"{'; '.join(damaged)}: {goes_on}")
        else:
            rank_zero_info(goes_on)
        return str(file)
    raise DamagedCheckpointError(
        f"--ckpt_path last: no checkpoint in {files[0].parent} can be resumed from: "
        f"{'; '.join(damaged) or 'none holds the state of a training'}. Remove them to begin anew, or pass another path"
    )


def _folder(saver: ModelCheckpoint, trainer: Trainer) -> str:
    """Return the folder that a callback writes to."""
    if saver.dirpath is not None:
        return str(saver.dirpath)
    if not trainer.loggers:
        return f"{trainer.default_root_dir}/checkpoints"
    logger = trainer.loggers[0]
    version = logger.version if isinstance(logger.version, str) else f"version_{logger.version}"
    return f"{logger.save_dir or trainer.default_root_dir}/{logger.name}/{version}/checkpoints"


def _of_earlier_version(folders: Iterable[Path]) -> list[Path]:
    """Return the checkpoints of the newest version of a logger, beside those of the folders, that has any."""
    for folder in folders:
        if re.fullmatch(r"version_\d+", folder.parent.name):
            versions = folder.parent.parent.glob(f"version_*/{folder.name}")
            numbers = {int(one.parent.name[8:]): one for one in versions if one.parent.name[8:].isdecimal()}
            for number in sorted(numbers, reverse=True):
                if files := _checkpoints([numbers[number]]):
                    return files
    return []


def _checkpoints(folders: Iterable[Path]) -> list[Path]:
    """Return the files of folders in the order in which to try them."""
    files = [file for folder in folders for file in folder.glob("*.ckpt") if file.is_file()]
    last = ModelCheckpoint.CHECKPOINT_NAME_LAST
    return sorted(files, key=lambda file: (file.name.startswith(last), file.stat().st_mtime_ns), reverse=True)


def _step_of(file: Path) -> int | None:
    """Return the step that a checkpoint is of; ``None`` if it holds weights alone, or is that of an evaluation."""
    require_intact(file)
    try:
        saved = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        if not ("loops" in saved and saved.get("optimizer_states")):
            return None
        return int(saved["global_step"])
    except Exception as error:  # of many kinds, for the content may be any
        raise DamagedCheckpointError(f"{file} cannot be read ({str(error).splitlines()[0]})") from None
