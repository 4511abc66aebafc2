"""Issues of one file, and the report that collects them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from fno_lightning.data.hdf5 import WellFormatError
from fno_lightning.data.hdf5.entry import EntryError

Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True)
class Issue:
    """Something in a data set that is wrong, or at least unusual.

    Args:
        path: The file or the folder.
        location: Path inside it, e.g. ``/t0_fields/density``; ``/`` for all of it.
        severity: ``error`` if readers fail or are misled, ``warning`` if it may be meant.
        message: The finding, and the remedy.
    """

    path: Path
    location: str
    severity: Severity
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.location}: {self.message}"


Result = TypeVar("Result")


class Report:
    """Collected issues of one file.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.issues: list[Issue] = []

    @property
    def has_errors(self) -> bool:
        """Whether there are errors beside warnings."""
        return any(issue.severity == "error" for issue in self.issues)

    def error(self, location: str, message: str) -> None:
        """Add an error."""
        self.issues.append(Issue(self.path, location, "error", message))

    def warning(self, location: str, message: str) -> None:
        """Add a warning."""
        self.issues.append(Issue(self.path, location, "warning", message))

    def attempt(self, function: Callable[..., Result], *arguments: Any) -> Result | None:
        """Return the result of a function of the reader; if it fails, add its error and return ``None``."""
        try:
            return function(*arguments)
        except EntryError as error:
            self.error(error.location or "/", error.found)
        except WellFormatError as error:
            self.error("/", str(error))
        return None
