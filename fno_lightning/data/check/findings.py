"""Collects the faults of one file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from fno_lightning.data.check.fault import Fault
from fno_lightning.data.hdf5_entry import EntryError, WellFormatError

Result = TypeVar("Result")


class Findings:
    """The faults of one file so far.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults: list[Fault] = []

    @property
    def has_errors(self) -> bool:
        """Whether there is more than warnings."""
        return any(fault.severity == "error" for fault in self.faults)

    def error(self, place: str, message: str) -> None:
        """Adds an error."""
        self.faults.append(Fault(self.path, place, "error", message))

    def warning(self, place: str, message: str) -> None:
        """Adds a warning."""
        self.faults.append(Fault(self.path, place, "warning", message))

    def attempt(self, function: Callable[..., Result], *arguments: Any) -> Result | None:
        """Returns what a function of the reader returns; ``None`` if it fails, and its error becomes a fault."""
        try:
            return function(*arguments)
        except EntryError as error:
            self.error(error.place or "/", error.found)
        except WellFormatError as error:
            self.error("/", str(error))
        return None
