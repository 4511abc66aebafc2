"""``python -m fno_lightning`` and ``fno-lightning``: the command line as a program."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from lightning.pytorch.loggers import Logger
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fno_lightning.cli import main, prepare_process
from fno_lightning.commands import COMMANDS
from fno_lightning.parser import TRACEBACK
from fno_lightning.pdes import PDE

_CHOSEN = (LightningModule, LightningDataModule, PDE, Callback, Logger, Optimizer, LRScheduler)
"""Classes that a configuration names by their class path."""

_LIGHTNING = Path(lightning.__file__).parent
"""Folder of Lightning."""

_WRONG_INPUT = (ValueError, OSError, TypeError, ImportError, FloatingPointError)
"""Errors that the checks of this package, and of Lightning, raise for what a user has given."""


def run() -> None:
    """Run the command line; report what is wrong with the user's input in one line, without a traceback."""
    try:
        if sys.argv[1:2] and sys.argv[1] in COMMANDS:
            prepare_process()
            raise SystemExit(COMMANDS[sys.argv[1]](sys.argv[2:]))
        main()
    except Exception as error:
        said = next((cause for cause in _chain(error) if _concerns_the_input(cause)), None)
        if said is None or TRACEBACK in os.environ:
            raise
        line = " ".join(str(said).split())
        raise SystemExit(f"error: {line}{_class_of(said)}\n({TRACEBACK}=1 shows where it was raised)") from None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _concerns_the_input(error: BaseException) -> bool:
    """Whether an error is about what the user has given: raised by a check, not by what the checked code calls."""
    if isinstance(error, ModuleNotFoundError | MisconfigurationException) or _is_of_weights(error):
        return True
    frames = _frames(error)
    if not frames:
        return False
    raised_in = Path(frames[-1].f_code.co_filename)
    if raised_in.is_relative_to(_LIGHTNING):
        return isinstance(error, (*_WRONG_INPUT, RuntimeError))
    is_constructor = frames[-1].f_code.co_name == "__init__" and isinstance(frames[-1].f_locals.get("self"), _CHOSEN)
    return isinstance(error, _WRONG_INPUT) and (raised_in.is_relative_to(Path(__file__).parent) or is_constructor)


def _is_of_weights(error: BaseException) -> bool:
    """Whether the weights of a checkpoint are not those of the network."""
    return isinstance(error, RuntimeError) and str(error).startswith("Error(s) in loading state_dict")


def _class_of(error: BaseException) -> str:
    """Return, in parentheses, the innermost class of a configuration in whose methods an error was raised."""
    owners = [type(frame.f_locals["self"]) for frame in _frames(error) if "self" in frame.f_locals]
    chosen = [owner for owner in owners if issubclass(owner, _CHOSEN)]
    return f" ({chosen[-1].__name__})" if chosen else ""


def _frames(error: BaseException) -> list[FrameType]:
    frames, traceback = [], error.__traceback__
    while traceback is not None:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return frames


if __name__ == "__main__":
    run()
