"""The configurations that are part of the package, and how ``--config`` finds them by name."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from contextlib import chdir
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]  # __all__ is made at run time

from fno_lightning.files import expanded_path

_FOLDERS = (Path(__file__).parent / "configs", Path(__file__).parents[1] / "configs")
"""Folder of the configurations in an installed package and in a checkout."""

_BASE = re.compile(r"^base:.*$", re.MULTILINE)
"""Line of a configuration that names the one which it starts from."""


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
    path = expanded_path(name, "the configuration")
    return path if path.is_file() else shipped_config(name)


class ConfigFile(ActionConfigFile):
    """A parser's option ``--config``, which takes names of shipped configurations too.

    A configuration may start from another one, ``base: NAME``: a file beside it, or a shipped configuration. The base
    is applied first, as by ``--config NAME``.
    """

    def __call__(self, parser: ArgumentParser, cfg: Namespace, values: Any, option_string: str | None = None) -> None:
        """Apply a configuration: a path, a name, a URL, or the YAML itself."""
        if any(mark in values for mark in (": ", "\n", "://")):
            self.apply_config(parser, cfg, self.dest, values)
        else:
            self._apply_file(parser, cfg, find_config(values))

    def _apply_file(self, parser: ArgumentParser, cfg: Namespace, path: Path) -> None:
        base, own = _split_base(path)
        if base is None:
            self.apply_config(parser, cfg, self.dest, str(path))
            return
        self._apply_file(parser, cfg, base)
        with chdir(path.parent):  # paths in a configuration are relative to its folder
            self.apply_config(parser, cfg, self.dest, own)


def read_config(path: Path) -> dict[str, Any]:
    """Return the content of a configuration, merged into that of its base."""
    base, own = _split_base(path)
    content: dict[str, Any] = yaml.safe_load(own)
    return content if base is None else merged(read_config(base), content)


def merged(*configs: Mapping[str, Any]) -> dict[str, Any]:
    """Merge parts of a configuration; where they name the same value, the later one wins."""
    result: dict[str, Any] = {}
    for config in configs:
        for key, value in config.items():
            both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = merged(result[key], value) if both else value
    return result


def _split_base(path: Path) -> tuple[Path | None, str]:
    """Return the base of a configuration, if any, and the configuration without the line that names it."""
    text = path.read_text(encoding="utf-8")
    line = _BASE.search(text)
    if line is None:
        return None, text
    name = yaml.safe_load(line[0])["base"]
    if not isinstance(name, str):
        raise ValueError(f"{path}: base is {name!r}, expected the name of a configuration, or a file beside this one")
    beside = path.parent / expanded_path(name, f"base in {path}")
    return beside if beside.is_file() else shipped_config(name), _BASE.sub("", text)
