"""Collects the faults of one file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from fno_lightning.data.hdf5 import WellFormatError
from fno_lightning.data.hdf5.entry import EntryError

Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True)
class Fault:
    """Something in a data set that is wrong, or at least unusual.

    Args:
        path: The file or the folder.
        place: Where in it, e.g. ``/t0_fields/density``; ``/`` for all of it.
        severity: ``error`` if readers fail or are misled, ``warning`` if it may be meant.
        message: What was found, and what to do.
    """

    path: Path
    place: str
    severity: Severity
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.place}: {self.message}"


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
            self.error(error.location or "/", error.found)
        except WellFormatError as error:
            self.error("/", str(error))
        return None
