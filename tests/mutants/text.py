"""Damages to files of text: statistics, configurations, command lines."""

from __future__ import annotations

import random
from typing import Any

import yaml

VALUES: list[Any] = [
    None, True, -1, 0, 3, 10**30, 1e308, float("nan"), float("inf"), "", "text", "nan", "\x00", "x" * 5000, [],
    [1, "a"], [[1, 2], [3]], {}, {"a": 1}, {"class_path": "os.system", "init_args": {"command": "false"}},
    "fno_lightning.nothing", {"class_path": "fno_lightning.modules.FNOModule"}, "../../etc/passwd", [8, 8, 8], -2.5,
    "1e-3",
]  # fmt: skip
"""What takes the place of a value."""

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)
)
"""A document of some lines that has 10^10 entries."""


def damaged_text(text: str, rng: random.Random) -> tuple[str, str]:
    """Change characters or lines of a text; return it and how."""
    lines = text.splitlines(keepends=True)
    how = rng.choice(("cut", "character", "line deleted", "line twice", "indented", "tag", "bomb", "binary"))
    at = rng.randrange(len(lines))
    if how == "cut":
        text = text[: rng.randrange(len(text))]
    elif how == "character":
        place = rng.randrange(len(text))
        text = text[:place] + rng.choice("\t:{}[]&*!%@`\"'#-0\x00\ud7ff") + text[place + 1 :]
    elif how == "bomb":
        text = text + BOMB
    elif how == "binary":
        text = "".join(chr(rng.randrange(256)) for _ in range(200))
    else:
        line = lines[at]
        lines[at] = {
            "line deleted": "",
            "line twice": line * 2,
            "indented": "   " + line,
            "tag": line.rstrip("\n") + " !!python/object/apply:os.system ['false']\n",
        }[how]
        text = "".join(lines)
    return text, how


def damaged_tree(tree: Any, rng: random.Random) -> tuple[Any, str]:
    """Delete, add or replace an entry of nested mappings and lists; return them and how."""
    tree = yaml.safe_load(yaml.safe_dump(tree))
    places: list[tuple[Any, Any]] = []

    def visit(part: Any) -> None:
        for key, value in list(part.items() if isinstance(part, dict) else enumerate(part)):
            places.append((part, key))
            if isinstance(value, dict | list):
                visit(value)

    visit(tree)
    part, key = rng.choice(places)
    how = rng.choice(("deleted", "replaced", "replaced", "replaced", "misspelt"))
    if how == "deleted":
        del part[key]
        return tree, f"{key} deleted"
    if how == "misspelt" and isinstance(part, dict):
        part[f"{key}x"] = part.pop(key)
        return tree, f"{key} misspelt"
    part[key] = rng.choice(VALUES)
    return tree, f"{key} = {str(part[key])[:50]!r}"
