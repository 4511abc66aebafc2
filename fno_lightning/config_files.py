"""The configurations that are part of the package, and how ``--config`` finds them by name."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]  # __all__ is made at run time

_FOLDERS = (Path(__file__).parent / "configs", Path(__file__).parents[1] / "configs")
"""Folder of the configurations in an installed package and in a checkout."""


def shipped_configs() -> dict[str, Path]:
    """Return the shipped configurations by name, which is the file's name without ``.yaml``."""
    folder = next(folder for folder in _FOLDERS if folder.is_dir())
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def shipped_config(name: str) -> Path:
    """Return the path of a shipped configuration.

    Raises:
        ValueError: if there is none of this name.
    """
    shipped = shipped_configs()
    if name not in shipped:
        near = get_close_matches(Path(name).stem, shipped, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(
            f"there is no configuration {name}, neither a file nor a shipped one; {hint}"
            "`fno-lightning configs` lists them"
        )
    return shipped[name]


def find_config(name: str) -> Path:
    """Return the path of a configuration: ``name`` if there is such a file, else the shipped one of this name.

    Raises:
        ValueError: if there is neither.
    """
    return Path(name) if Path(name).is_file() else shipped_config(name)


class ConfigFile(ActionConfigFile):
    """A parser's option ``--config``, which also takes the name of a shipped configuration."""

    def __call__(self, parser: ArgumentParser, cfg: Namespace, values: Any, option_string: str | None = None) -> None:
        """Apply a configuration: a path, a name, a URL, or the YAML itself."""
        is_named = not any(mark in values for mark in (": ", "\n", "://"))
        super().__call__(  # type: ignore[no-untyped-call]
            parser, cfg, str(find_config(values)) if is_named else values, option_string
        )
