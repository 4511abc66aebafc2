"""``fno-lightning check``: list the issues of files and data sets in The Well's format."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from fno_lightning.check import Issue, check, files_at
from fno_lightning.files import expanded_path
from fno_lightning.parser import Parser

STYLES = {"error": "bold red", "warning": "yellow"}


def main(args: Sequence[str]) -> int:
    """Check the paths in the arguments and print every issue.

    Returns:
        The exit status: 0 if all is well, 1 if there is an issue that counts, 2 if the arguments are wrong.
    """
    try:
        options = _parser().parse_args(args)
    except SystemExit as stop:  # the parser has printed the reason
        return int(stop.code or 0)
    try:
        paths = [expanded_path(path) for path in options.files]
        n_files = len({file for path in paths for file in files_at(path)})
        issues = check(paths)
    except (FileNotFoundError, ValueError) as error:
        Console(stderr=True).print(Text(f"error: {error}"), soft_wrap=True)
        return 2
    console = Console()
    _show(issues, console)
    n_errors = sum(issue.severity == "error" for issue in issues)
    n_warnings = len(issues) - n_errors
    counts = f"{_count(n_errors, 'error')}, {_count(n_warnings, 'warning')}"
    console.print(f"{_count(n_files, 'file')}, {counts}" if issues else f"{_count(n_files, 'file')}: no faults")
    return int(n_errors > 0 or (options.warnings_as_errors and n_warnings > 0))


def _parser() -> Parser:
    parser = Parser(
        prog="fno-lightning check", description="Lists what is wrong with files and data sets in The Well's format."
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILES",
        help="files in The Well's format, folders of such files, or folders of data sets, which hold data/train, "
        "data/valid and data/test; or files of meshes and folders of them",
    )
    parser.add_argument("--warnings-as-errors", action="store_true", help="exit with status 1 on warnings too")
    return parser


def _show(issues: Sequence[Issue], console: Console) -> None:
    """Print one line for each issue, and an empty one after those of each file."""
    ordered = sorted(issues, key=lambda issue: str(issue.path))
    for _, group in itertools.groupby(ordered, key=lambda issue: issue.path):
        for issue in group:
            label = Text(issue.severity.upper(), style=STYLES[issue.severity])
            console.print(Text.assemble(label, f"  {issue}"), soft_wrap=True)
        console.print()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
