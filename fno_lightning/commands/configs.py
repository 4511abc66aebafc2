"""``fno-lightning configs``: list the shipped configurations, or copy one out to be changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from fno_lightning.config_files import shipped_config, shipped_configs
from fno_lightning.parser import Parser


def main(args: Sequence[str]) -> int:
    """List the shipped configurations, or copy the named ones into the current folder.

    Returns:
        The exit status, 0.

    Raises:
        ValueError: if there is no configuration of a name.
        FileExistsError: if a file of that name is in the current folder.
    """
    names = _parser().parse_args(args).names
    console = Console(soft_wrap=True, highlight=False)
    if not names:
        width = 2 + max(map(len, shipped_configs()))
        for name, path in shipped_configs().items():
            console.print(f"{name:<{width}}{summary(path)}", markup=False)
    for target in _copies([shipped_config(name) for name in names]):
        console.print(f"wrote {target}")
    return 0


def summary(path: Path) -> str:
    """Return the first line of the comment that a configuration starts with."""
    with path.open(encoding="utf-8") as file:
        return file.readline().removeprefix("#").strip()


def _copies(sources: Sequence[Path]) -> list[Path]:
    """Copy files into the current folder, all of them or none."""
    targets = {source: Path(source.name) for source in sources}
    if existing := [str(target) for target in targets.values() if target.exists()]:
        raise FileExistsError(f"{', '.join(existing)} exists already and is not overwritten: move it away first")
    for source, target in targets.items():
        target.write_bytes(source.read_bytes())
    return list(targets.values())


def _parser() -> Parser:
    parser = Parser(
        prog="fno-lightning configs",
        description="List the configurations that --config knows by name, or copy some into the current folder.",
    )
    parser.add_argument("names", nargs="*", metavar="NAMES", help="configurations to copy, e.g. trl2d")
    return parser
