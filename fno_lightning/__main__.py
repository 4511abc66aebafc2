"""``python -m fno_lightning`` and ``fno-lightning``: the command line as a program."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from fno_lightning.cli import main, prepare_process
from fno_lightning.commands import COMMANDS

TRACEBACK = "FNO_LIGHTNING_TRACEBACK"
"""Environment variable that, if set, shows where an error was raised."""


def run() -> None:
    """Runs the command line; of an error in what the user gave, shows what the package says about it."""
    try:
        if sys.argv[1:2] and sys.argv[1] in COMMANDS:
            prepare_process()
            raise SystemExit(COMMANDS[sys.argv[1]](sys.argv[2:]))
        main()
    except Exception as error:
        said = next((cause for cause in _chain(error) if _is_said_by_package(cause)), None)
        if said is None or TRACEBACK in os.environ:
            raise
        raise SystemExit(f"error: {said}\n({TRACEBACK}=1 shows where it was raised)") from None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_said_by_package(error: BaseException) -> bool:
    """Whether an error was raised by this package's own checks, and not by what it calls."""
    if (
        not isinstance(error, ValueError | OSError | TypeError | ImportError | FloatingPointError)
        or error.__traceback__ is None
    ):
        return False
    innermost = error.__traceback__
    while innermost.tb_next is not None:
        innermost = innermost.tb_next
    return Path(innermost.tb_frame.f_code.co_filename).is_relative_to(Path(__file__).parent)


if __name__ == "__main__":
    run()
