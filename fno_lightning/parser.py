"""A parser of the command line that reports an error in one line."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn

from jsonargparse import ArgumentParser
from lightning.pytorch.cli import LightningArgumentParser

TRACEBACK = "FNO_LIGHTNING_TRACEBACK"
"""Environment variable that, if set, shows the whole of an error."""

_KEY = re.compile(r'Parser key "(?P<name>[^"]+)":\s*')
_CLASS = re.compile(r"Problem with given class_path '(?P<name>[^']+)':\s*")
_UNKNOWN = re.compile(r"(?:Option|Key) '(?P<name>[^']+)' is not (?:accepted|expected)")
_UNKNOWN_TO_PARSER = re.compile(
    r"(?:unrecognized arguments: --|does not accept (?:option|nested key) ')(?P<name>[\w.]+)", re.I
)
_FRAME = re.compile(r"Does not validate|Subtypes:|Errors:|Given value|Subclass types expect|a (?:class path|dict) |$")
_ALTERNATIVE = re.compile(r"Expected a <class 'NoneType'>|Expected a (?:config )?path but")
_TYPE = re.compile(
    r"Expected an? (?P<type><class .*?>|typing\..*?\]|collections\..*?)(?:\. Got value: (?P<value>.*))?$"
)
_GIVEN = re.compile(r"Given value: (?:NestedArg\(key='[^']*', val=)?(?P<value>.*?)\)?$", re.M)


class Parser(LightningArgumentParser):
    """Lightning's parser, which names the innermost cause of an error rather than every alternative that failed."""

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
    """Return jsonargparse's message about a value or an option in one line.

    Args:
        message: The message, which lists all alternatives of a type, nested by indentation.
        options: The parser's own options, of which the nearest is suggested where one is unknown.
    """
    unknown = _UNKNOWN_TO_PARSER.search(message)
    if unknown is not None:
        return f"there is no option --{unknown['name']}{_near(unknown['name'], options)}"
    causes = list(_causes(message))
    if not causes:
        return message
    cause = max(causes, key=lambda found: (not _ALTERNATIVE.match(found.text), found.depth))  # the first of several
    types = [_TYPE.match(found.text) for found in causes if (found.option, found.depth) == (cause.option, cause.depth)]
    return cause.explained([found for found in types if found], _GIVEN.search(message))


@dataclass(frozen=True)
class _Cause:
    """A line of a message that says what is wrong.

    Attributes:
        text: The line.
        depth: Its indentation.
        option: Full name of the option that it is about.
        prefix: What the name of an option inside starts with.
        class_path: The class whose option it is, if any.
    """

    text: str
    depth: int = -1
    option: str = ""
    prefix: str = ""
    class_path: str = ""

    def explained(self, types: list[re.Match[str]], given: re.Match[str] | None) -> str:
        """Return the cause in a line.

        Args:
            types: Types that the value could have.
            given: The value.
        """
        unknown = _UNKNOWN.search(self.text)
        if unknown is not None:
            name, chosen = unknown["name"], re.search(r"class_path='([^']+)'", self.text)
            prefix = f"{self.option}.init_args." if chosen else self.prefix
            owner = chosen[1] if chosen else self.class_path
            return f"--{prefix}{name}: {owner} has no option {name}{_near(name, _arguments(owner))}"
        text = re.sub(r"Expected a dot import path string: (.*)", r"there is no class \1", self.text)
        if _TYPE.match(text):
            names = dict.fromkeys(_type_name(found["type"]) for found in types)
            value = types[0]["value"] or (given["value"] if given else "")
            text = f"expected {' or '.join(name for name in names if name != 'NoneType')}, got {value}"
        owner = f" ({self.class_path})" if self.class_path else ""
        return f"--{self.option}{owner}: {text}" if self.option else text


def _type_name(text: str) -> str:
    """Return a type as a user calls it: ``int`` for ``<class 'int'>``, and the choices of a ``Literal``."""
    text = re.sub(r"<class '(.*)'>", r"\1", text)
    text = re.sub(r"typing\.Literal\[(.*)\]", r"one of \1", text)
    return re.sub(r"^(?:\w+\.)+(\w+)", r"\1", text)


def _causes(message: str) -> Iterator[_Cause]:
    """Yield the lines of a message that say what is wrong."""
    above = [_Cause("")]  # the headers that a line is under
    for line in filter(str.strip, message.splitlines()):
        text = line.lstrip(" -")
        depth = len(line) - len(text)
        while above[-1].depth >= depth:
            above.pop()
        header = above[-1]
        while match := _KEY.match(text) or _CLASS.match(text):
            text = text[match.end() :]
            if match.re is _KEY:
                option = f"{header.prefix}{match['name']}"
                header = replace(header, depth=depth, option=option, prefix=f"{option}.")
            else:
                header = replace(header, depth=depth, prefix=f"{header.option}.init_args.", class_path=match["name"])
            above.append(header)
        if not _FRAME.match(text):
            yield replace(header, text=text, depth=depth)


def _near(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, sorted(names), n=1)
    return f", did you mean {near[0]}?" if near else ""


def _arguments(class_path: str) -> list[str]:
    """Return the names of a class's arguments, inherited ones included."""
    try:
        module, _, name = class_path.rpartition(".")
        return list(ArgumentParser().add_class_arguments(getattr(import_module(module), name)))
    except Exception:
        return []


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the options of a parser and of its subcommands."""
    for action in parser._actions:
        yield from (option.lstrip("-") for option in action.option_strings)
        if isinstance(action.choices, dict):
            for subparser in action.choices.values():
                yield from _options(subparser)
