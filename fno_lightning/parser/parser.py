"""The parser, and its messages about options and commands."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from lightning.pytorch.cli import LightningArgumentParser

from fno_lightning.parser.causes import arguments_of, cause_in, near

TRACEBACK = "FNO_LIGHTNING_TRACEBACK"
"""Environment variable that, if set, shows the whole of an error."""

OTHER_COMMANDS = ("check", "cluster", "configs", "convert", "generate", "import", "transfer")
"""Commands beside those of Lightning, which have parsers of their own."""

_UNKNOWN_OPTION = re.compile(
    r"(?:unrecognized arguments: --|does not accept (?:option|nested key) ')(?P<name>[\w.]+)", re.I
)
_NO_OPTION = re.compile(r"unrecognized arguments: (?P<given>[^\s].*)")
_NO_COMMAND = re.compile(r"argument subcommand: invalid choice: '(?P<given>.*)' \(choose from (?P<names>.*)\)")
_NEEDS_COMMAND = re.compile(r'expected "subcommand" to be one of \{(?P<names>.*)\}')
_REQUIRED = re.compile(r"the following arguments are required: (?P<names>[\w., ]+)$")

_USUAL = {"model": "fno_lightning.modules.FNOModule", "data": "fno_lightning.data.GeneratedDataModule"}
_USUAL |= {"model.init_args.optimizer": "torch.optim.AdamW"}
"""Classes whose options are suggested to those who leave out what they are options of."""


class Parser(LightningArgumentParser):
    """Lightning's parser, which names the innermost cause of an error rather than every alternative that failed."""

    def __init__(self, *args: Any, prog: str = "fno-lightning", **kwargs: Any) -> None:
        super().__init__(*args, prog=prog, **kwargs)  # jsonargparse makes some by itself, e.g. for --data.help

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print what is wrong with which option, and exit with status 2."""
        if TRACEBACK in os.environ or not self.exit_on_error:  # the latter for the arguments of a chosen class
            super().error(message, ex)
        prog = getattr(getattr(ex, "subcommand_parser", None), "prog", self.prog).replace(" [options]", "")
        sys.stderr.write(
            f"error: {explained(message, set(_options(self)))}\n"
            f"({prog} --help lists the options; {TRACEBACK}=1 shows the whole message)\n"
        )
        self.exit(2)


def explained(message: str, options: Iterable[str] = ()) -> str:
    """Return jsonargparse's message in one line.

    Args:
        message: The message.
        options: The parser's own options, of which the nearest is suggested where one is unknown.
    """
    if found := _NEEDS_COMMAND.search(message):
        return f"a command is missing, one of {', '.join(_commands(found['names']))}, as in fit --config trl2d"
    if found := _NO_COMMAND.search(message):
        return f"there is no command {found['given']}{near(found['given'], _commands(found['names']))}"
    if found := _UNKNOWN_OPTION.search(message):
        return f"there is no option --{found['name']}{_near_option(found['name'], options)}"
    if found := _NO_OPTION.search(message):
        is_file = Path(found["given"]).suffix in (".yaml", ".yml", ".json")
        hint = f"did you mean --config {found['given']}?" if is_file else "options begin with --"
        return f"{found['given']} is no option, {hint}"
    if found := _REQUIRED.match(message):
        return _missing(found["names"].split(", "), options)
    return cause_in(message)


def _missing(names: list[str], options: Iterable[str]) -> str:
    last = sorted((name.rpartition(".")[2] for name in names), reverse=True)
    if {"data", "model"}.issuperset(last):
        return f"{' and '.join(f'--{name}' for name in last)} must be given, here or in a file, such as --config trl2d"
    return f"{', '.join(f'--{name}' if name in options else name for name in names)} must be given"


def _commands(names: str) -> list[str]:
    return [*re.findall(r"\w+", names), *OTHER_COMMANDS]


def _near_option(name: str, options: Iterable[str]) -> str:
    """Return a suggestion: an option whose last part is the name, also of the usual classes, else one like it."""
    inner = [f"{part}.init_args.{option}" for part, path in _USUAL.items() for option in arguments_of(path)]
    same = [option for option in (*options, *inner) if option.rpartition(".")[2] == name]
    return f", did you mean {same[0]}?" if same else near(name, options)


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the options of a parser and of its subcommands."""
    for action in parser._actions:
        yield from (option.lstrip("-") for option in action.option_strings)
        if isinstance(action.choices, dict):
            for subparser in action.choices.values():
                yield from _options(subparser)
