"""The configurations that are part of the package, and how ``--config`` finds them by name."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from contextlib import chdir
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]  # __all__ is made at run time

from fno_lightning.files import expanded_path

_FOLDERS = (Path(__file__).parent / "configs", Path(__file__).parents[1] / "configs")
"""Folder of the configurations in an installed package and in a checkout."""

MOST_VALUES = 100_000
"""Values of a configuration; lines of aliases of aliases can stand for any number."""

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
        """Apply a configuration: a path, a name, a URL, or the YAML itself.

        Raises:
            ValueError: if there is none, or it is not YAML; names the file and the line.
        """
        if "://" in values:
            self.apply_config(parser, cfg, self.dest, values)
        elif any(mark in values for mark in (": ", "\n", "{")):
            _options_in(values, "--config")
            self.apply_config(parser, cfg, self.dest, values)
        else:
            for path, own in reversed(list(_with_bases(find_config(values)))):
                if _options_in(own, str(path)):
                    with chdir(path.parent):  # paths in a configuration are relative to its folder
                        self.apply_config(parser, cfg, self.dest, own)


def read_config(path: Path) -> dict[str, Any]:
    """Return the content of a configuration, merged into that of its base.

    Raises:
        ValueError: if it is not YAML; names the file and the line.
    """
    return merged(*(_options_in(own, str(file)) for file, own in reversed(list(_with_bases(path)))))


def merged(*configs: Mapping[str, Any]) -> dict[str, Any]:
    """Merge parts of a configuration; where they name the same value, the later one wins."""
    result: dict[str, Any] = {}
    for config in configs:
        for key, value in config.items():
            both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = merged(result[key], value) if both else value
    return result


def _with_bases(path: Path) -> Iterator[tuple[Path, str]]:
    """Yield a configuration and those that it starts from, each without the line that names its base."""
    seen: list[Path] = []
    following: Path | None = path
    while following is not None:
        if following.resolve() in seen:
            raise ValueError(f"{path} starts from itself, by its base or that of another: leave one of them out")
        seen.append(following.resolve())
        text = _text_of(following)
        line = _BASE.search(text)
        base = None if line is None else _base_of(following, line[0])
        yield following, text if line is None else _BASE.sub("", text)
        following = base


def _base_of(path: Path, line: str) -> Path:
    name = _options_in(line, str(path))["base"]
    if not isinstance(name, str):
        raise ValueError(f"{path}: base is {name!r}, expected the name of a configuration, or a file beside this one")
    beside = path.parent / expanded_path(name, f"base in {path}")
    return beside if beside.is_file() else shipped_config(name)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not text in UTF-8 (byte {error.start}), expected a configuration in YAML"
        ) from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error


class _UniqueKeys(yaml.SafeLoader):
    """Loader that refuses a name which is given twice, of which YAML would forget the first, and too many values."""

    def get_single_node(self) -> yaml.Node | None:
        """Compose the document."""
        node: yaml.Node | None = super().get_single_node()
        if node is not None and _n_values(node, {}) > MOST_VALUES:
            raise yaml.MarkedYAMLError(
                problem=f"aliases repeat values more than {MOST_VALUES} times", problem_mark=node.start_mark
            )
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and names.count(key.value) > 1:
                raise yaml.MarkedYAMLError(problem=f"{key.value} is given twice", problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


def _n_values(node: yaml.Node, known: dict[int, int]) -> int:
    """Return the number of values in a node, those of an alias at each place where it stands."""
    if id(node) not in known:
        known[id(node)] = 1  # an alias that holds itself ends here, and is refused when it is constructed
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        if not isinstance(node, yaml.ScalarNode):
            known[id(node)] = 1 + sum(_n_values(part, known) for part in parts)
    return known[id(node)]


def _options_in(text: str, source: str) -> dict[str, Any]:
    """Return the options in a configuration's text; none if it is empty.

    Raises:
        ValueError: if it is no YAML, or holds something else than options; names the source, and the line.
    """
    try:
        content = yaml.load(text, _UniqueKeys)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f", line {mark.line + 1}, column {mark.column + 1}"
        raise ValueError(
            f"{source}{place}: {getattr(error, 'problem', None) or ' '.join(str(error).split())}"
        ) from error
    if content is not None and not isinstance(content, dict):
        raise ValueError(f"{source} holds {content!r}, expected options by name, e.g. trainer: {{max_epochs: 10}}")
    return content or {}
