"""Parts of configurations, and the command line called from within a program."""

from __future__ import annotations

import hashlib
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

Config: TypeAlias = dict[str, Any]
"""A part of a configuration, as in a YAML file."""


def merged(*configs: Mapping[str, Any]) -> Config:
    """Puts parts of a configuration together; where they name the same value, the later one wins."""
    result: Config = {}
    for config in configs:
        for key, value in config.items():
            both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = merged(result[key], value) if both else value
    return result


def digest(path: str) -> str:
    """What tells a file from others of the same name."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@contextmanager
def as_program() -> Iterator[None]:
    """Hides the arguments of this process, which LightningCLI would take for its own."""
    arguments = sys.argv
    sys.argv = arguments[:1]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # it goes on
            yield
    finally:
        sys.argv = arguments
