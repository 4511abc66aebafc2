"""The folder of a run: where everything lies that this package writes beside a log."""

from __future__ import annotations

from pathlib import Path
from weakref import WeakKeyDictionary

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_warn

from fno_lightning.files import unused_path

WITHOUT_LOGGER = "fno_runs"
"""Folder, in the trainer's ``default_root_dir``, of the runs that have no folder from a logger."""

_KNOWN: WeakKeyDictionary[Trainer, tuple[list[Logger], Path | None]] = WeakKeyDictionary()
_OWN: WeakKeyDictionary[Trainer, dict[Path, Path]] = WeakKeyDictionary()


def run_folder(trainer: Trainer) -> Path | None:
    """Return the folder of a run, the same in all processes and whenever it is asked for.

    It is that of the first logger that has one: the log of TensorBoard or of CSV files; of other loggers
    ``<save_dir>/<name>/<version>``, where ModelCheckpoint puts its checkpoints too. Without such a logger it is
    ``fno_runs/version_<N>`` in the trainer's ``default_root_dir``, a new one for each trainer. The folder of a logger
    whose version was chosen may hold files of earlier runs: :func:`~fno_lightning.files.unused_path` and
    :func:`~fno_lightning.files.write_unused` leave those alone.

    The first call asks process zero, so all processes must make it, at the beginning of a run (``setup``, or the start
    of a stage); later ones may come from one of them.

    Args:
        trainer: A trainer that runs.

    Returns:
        The folder, which may not be there yet; ``None`` in a ``fast_dev_run``, which leaves nothing behind, and where
        no folder can be made.
    """
    if getattr(trainer, "fast_dev_run", False):
        return None
    loggers, folder = _KNOWN.get(trainer, (None, None))
    if loggers != trainer.loggers:
        found = _found(trainer) if trainer.is_global_zero else None
        text = trainer.strategy.broadcast(found)
        folder = None if text is None else Path(text)
        _KNOWN[trainer] = list(trainer.loggers), folder
    return folder


def run_path(trainer: Trainer, name: str) -> Path | None:
    """Return the path that a run writes a result to: ``name`` in its folder, or a new one beside an earlier run's.

    It is the same whenever this trainer is asked, so a run replaces its own results and no others.

    Args:
        trainer: A trainer that runs, whose :func:`run_folder` is known.
        name: Name of a file or folder.

    Returns:
        The path; ``None`` where the run has no folder.
    """
    folder = run_folder(trainer)
    if folder is None:
        return None
    own = _OWN.setdefault(trainer, {})
    return own.setdefault(folder / name, unused_path(folder / name))


def _found(trainer: Trainer) -> str | None:
    try:
        return str(_find(trainer))
    except OSError as error:
        rank_zero_warn(f"there is no folder for the results of this run, so they are not kept: {error}")
        return None


def _find(trainer: Trainer) -> Path:
    """Return the folder of the first logger that has one on this machine, else a new one."""
    folders = (_folder_of(logger) for logger in trainer.loggers)
    local = next((folder for folder in folders if folder is not None and "://" not in folder), None)
    if local is not None:
        return Path(local).expanduser()
    root = trainer.default_root_dir
    return _new_version(Path("." if "://" in root else root) / WITHOUT_LOGGER)


def _folder_of(logger: Logger) -> str | None:
    if isinstance(logger, TensorBoardLogger | CSVLogger):
        return logger.log_dir
    if None in (logger.save_dir, logger.name, logger.version):
        return None
    version = logger.version if isinstance(logger.version, str) else f"version_{logger.version}"
    return f"{logger.save_dir}/{logger.name}/{version}"


def _new_version(root: Path) -> Path:
    """Make the folder ``version_<N>`` after those that are there, also beside processes that do the same."""
    root.mkdir(parents=True, exist_ok=True)
    numbers = (folder.name.removeprefix("version_") for folder in root.glob("version_*"))
    number = max((int(number) for number in numbers if number.isdecimal()), default=-1) + 1
    while True:
        folder = root / f"version_{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder
