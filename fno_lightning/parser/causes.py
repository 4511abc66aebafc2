"""What is wrong with an option, in one line, from jsonargparse's messages, which list all alternatives of a type."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module

import yaml
from jsonargparse import ArgumentParser

from fno_lightning.class_path import missing_module

_KEY = re.compile(r'Parser key "(?P<name>[^"]+)":\s*')
_CLASS = re.compile(r"Problem with given class_path '(?P<name>[^']+)':\s*")
_CALLABLE = re.compile(r"Type typing\.Callable\[.*\] expects a function or a callable class:\s*")
_UNKNOWN = re.compile(r"(?:Option|Key) '(?P<name>[^']+)' is not (?:accepted|expected)")
_FRAME = re.compile(r"Does not validate|Subtypes:|Errors:|Given value|Subclass types expect|a (?:class path|dict) |$")
_ALTERNATIVE = re.compile(r"Expected (?:a )?<class '(?:NoneType|list)'>|Expected a (?:config )?path but")
_TYPE = re.compile(
    r"Expected (?:an? )?(?P<type><class .*?>|typing\..*?\]|collections\..*?)(?:\. Got value: (?P<value>.*))?$"
)
_GIVEN = re.compile(r"Given value: (?:NestedArg\(key='[^']*', val=)?(?P<value>.*?)\)?(?:\. Got value: .*)?$", re.M)
_NO_MODULE = re.compile(r"No module named '(?P<name>[^']+)'")

_PLACES = (
    *(f"fno_lightning.{room}" for room in ("callbacks", "data", "losses", "metrics", "modules", "multistep", "pdes")),
    *(f"lightning.pytorch.{room}" for room in ("callbacks", "loggers", "profilers", "strategies")),
    *("torch.optim", "torch.optim.lr_scheduler"),
)
"""Packages whose classes are named without their paths."""


def cause_in(message: str) -> str:
    """Return the innermost cause in a message about the value of an option, with the option's name.

    Args:
        message: The message, nested by indentation.
    """
    causes = list(_causes(message))
    if not causes:
        return message
    cause = max(causes, key=lambda found: (not _ALTERNATIVE.match(found.text), found.depth))  # the first of several
    types = [_TYPE.match(found.text) for found in causes if (found.option, found.depth) == (cause.option, cause.depth)]
    given = _GIVEN.search(message)
    return cause.explained([found for found in types if found], given["value"] if given else "")


def near(name: str, names: Iterable[str]) -> str:
    """Return a suggestion of the nearest of some names, an empty text if none is near."""
    found = get_close_matches(name, sorted(names), n=1)
    return f", did you mean {found[0]}?" if found else ""


def arguments_of(class_path: str) -> list[str]:
    """Return the names of a class's arguments, inherited ones included."""
    try:
        module, _, name = class_path.rpartition(".")
        return list(ArgumentParser().add_class_arguments(getattr(import_module(module), name)))
    except Exception:
        return []


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

    def explained(self, types: list[re.Match[str]], given: str) -> str:
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
            has_none = f"{owner} has no option {name}" if owner else "there is no such option"
            return f"--{prefix}{name}: {has_none}{near(name, arguments_of(owner))}"
        if not self.option:
            return self.text
        owner = f" ({self.class_path})" if self.class_path else ""
        return f"--{self.option}{owner}: {_not_yaml(given) or self._what_is_wrong(types, given)}"

    def _what_is_wrong(self, types: list[re.Match[str]], given: str) -> str:
        if _TYPE.match(self.text):
            names = dict.fromkeys(_type_name(found["type"]) for found in types)
            value = types[0]["value"] or given or "''"
            return f"expected {' or '.join(name for name in names if name != 'NoneType')}, got {value}"
        text = re.sub(r"Expected a dot import path string: (\w+)$", _no_class, self.text)
        text = re.sub(r"Expected a dot import path string: (.*)", r"there is no class '\1'", text)
        text = re.sub(r"module '([\w.]+)' has no attribute '(\w+)'", _no_attribute, text)
        text = re.sub(r"Import path does not correspond to a subclass of (\w+)", rf"{given} is no \1", text)
        text = re.sub(r"Expected an instantiatable class, but(?: [\w.]+)? is abstract", f"{given} is abstract", text)
        return _NO_MODULE.sub(lambda found: missing_module(found["name"], self.class_path or given), text)


def _no_class(found: re.Match[str]) -> str:
    modules = (sys.modules[place] for place in _PLACES if place in sys.modules)
    names = {name for module in modules for name, thing in vars(module).items() if inspect.isclass(thing)}
    return f"there is no class {found[1]}{near(found[1], names)}"


def _no_attribute(found: re.Match[str]) -> str:
    return f"there is no {found[2]} in {found[1]}{near(found[2], dir(sys.modules.get(found[1])))}"


def _not_yaml(value: str) -> str:
    """Return what is wrong with a list or a dictionary that is no YAML; an empty text if it is none, or it is YAML."""
    if not value.startswith(("[", "{")):
        return ""
    try:
        yaml.safe_load(value)
    except yaml.YAMLError as error:
        return f"{value} is not YAML, {getattr(error, 'problem', error)}"
    return ""


def _type_name(text: str) -> str:
    """Return a type as a user calls it: ``int`` for ``<class 'int'>``, and the choices of a ``Literal``."""
    text = re.sub(r"<class '(.*)'>", r"\1", text)
    text = re.sub(r"typing\.Literal\[(.*)\]", r"one of \1", text)
    return re.sub(r"^(?:\w+\.)+(\w+)", r"\1", text).replace("Sequence", "a list")


def _causes(message: str) -> Iterator[_Cause]:
    """Yield the lines of a message that say what is wrong."""
    above = [_Cause("")]  # the headers that a line is under
    for line in filter(str.strip, message.splitlines()):
        text = line.lstrip(" -")
        depth = len(line) - len(text)
        while above[-1].depth >= depth:
            above.pop()
        header = above[-1]
        while match := _KEY.match(text) or _CLASS.match(text) or _CALLABLE.match(text):
            text = text[match.end() :]
            if match.re is _KEY:
                option = f"{header.prefix}{match['name']}"
                header = replace(header, depth=depth, option=option, prefix=f"{option}.")
            elif match.re is _CLASS:
                header = replace(header, depth=depth, prefix=f"{header.option}.init_args.", class_path=match["name"])
            else:  # a class, as a callable, which is not named
                header = replace(header, depth=depth, prefix=f"{header.option}.init_args.", class_path="")
            above.append(header)
        if not _FRAME.match(text):
            yield replace(header, text=text, depth=depth)
