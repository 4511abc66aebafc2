"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

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
