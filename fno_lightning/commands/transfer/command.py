"""``fno-lightning transfer``: the transfer-learning study from one configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from fno_lightning.commands.transfer.study import TransferStudy
from fno_lightning.config_files import find_config, read_config
from fno_lightning.parser import Parser

PARTS = ("downstream", "common", "pretrain", "finetune", "scratch")
"""Parts of configurations, which only the file can give; they are passed on as they are."""


def main(args: Sequence[str]) -> int:
    """Run the study, and print its table and the path of the figure.

    Returns:
        The exit status, 0.

    Raises:
        ValueError: if the file is missing or has unknown keys.
    """
    study = _study(list(args))
    study.run()
    folder = Path(study.folder)
    console = Console()
    console.print(Markdown((folder / "transfer.md").read_text(encoding="utf-8")))
    console.print(f"table:  {folder / 'transfer.md'}\nfigure: {folder / 'transfer.png'}", soft_wrap=True)
    return 0


def _study(args: list[str]) -> TransferStudy:
    """Make the study of a file, with the changes of the command line."""
    parser = Parser(
        prog="fno-lightning transfer",
        description="Pre-trains, then fine-tunes and trains from scratch on more and more downstream examples.",
    )
    parser.add_argument(
        "--config",
        required=True,
        help=f"a study, e.g. transfer, which also has the parts of configurations {', '.join(PARTS)}",
    )
    parser.add_class_arguments(TransferStudy, as_group=False, skip=set(PARTS))
    for action in parser._actions:
        action.required = action.dest == "config"  # the file may have it
    path = find_config(parser.parse_args(args).config)
    settings = read_config(path)
    known = {argument.name for argument in fields(TransferStudy)}
    if unknown := sorted(set(settings) - known):
        raise ValueError(f"{path} has the keys {unknown}, but a study has {sorted(known)}")
    if "downstream" not in settings:
        raise ValueError(f"{path} has no downstream data sets, expected a study: see fno-lightning configs transfer")
    parser.set_defaults({name: value for name, value in settings.items() if name not in PARTS})
    options = parser.parse_args(args).as_dict()
    del options["config"]
    return TransferStudy(**options, **{name: settings[name] for name in PARTS if name in settings})
