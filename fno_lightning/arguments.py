"""Arguments of constructors: as plain values, which a checkpoint can hold, as hyper-parameters, and as lists."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from enum import Enum
from pathlib import PurePath
from types import FrameType
from typing import Any

import numpy as np
import torch
from lightning.pytorch.core.mixins.hparams_mixin import HyperparametersMixin, _given_hyperparameters
from lightning.pytorch.utilities.parsing import collect_init_args
from torch import Tensor

Conversions = Mapping[type, Callable[[Any], Any]]
"""Functions that turn objects of a class into plain values, by class."""

_NUMBER_OR_TEXT = (bool, int, float, complex, str)


def plain(value: Any, name: str, conversions: Conversions | None = None) -> Any:
    """Return an argument as every checkpoint can hold it: numbers, text, ``None``, lists and dictionaries of them.

    Numbers of NumPy become Python's, paths text, arrays, tensors, tuples, sets and ranges lists, members of an
    enumeration their values, and ``torch.dtype`` and ``torch.device`` their names.

    Args:
        value: The argument.
        name: Its name, for the message.
        conversions: What to do with objects of other classes.

    Raises:
        TypeError: if it is something else; names the argument.

    >>> plain({"n_modes": np.array([4, 4]), "rate": np.float64(0.5)}, "options")
    {'n_modes': [4, 4], 'rate': 0.5}
    """
    for kind, convert in (conversions or {}).items():
        if isinstance(value, kind):
            return plain(convert(value), name, conversions)
    simple = _simple(value)
    if isinstance(simple, Mapping):
        return {_key(key, name): plain(entry, f"{name}[{key!r}]", conversions) for key, entry in simple.items()}
    if isinstance(simple, list):
        return [plain(entry, f"{name}[{i}]", conversions) for i, entry in enumerate(simple)]
    if simple is None or type(simple) in _NUMBER_OR_TEXT:
        return simple
    raise TypeError(
        f"{name} is {_described(value)}, which a checkpoint cannot hold: pass numbers, text, lists and dictionaries of "
        "them (for a class or a function its import path), or name the argument in run_time_arguments of its class: it "
        "lists what is not stored"
    )


def _simple(value: Any) -> Any:
    """Return a value as a number, a text, a mapping or a list, whose entries may be anything; what is none as it is."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Tensor):
        return value.detach().tolist()
    if isinstance(value, PurePath | torch.dtype | torch.device):
        return str(value)
    if isinstance(value, Namespace):
        return vars(value)
    if isinstance(value, Sequence | Set) and not isinstance(value, str | bytes | bytearray | memoryview):
        return list(value)
    kind = next((kind for kind in _NUMBER_OR_TEXT if isinstance(value, kind)), None)
    return value if kind is None else kind(value)


def _key(key: Any, name: str) -> Any:
    simple = _simple(key)
    if type(simple) not in _NUMBER_OR_TEXT:
        raise TypeError(f"{name} has the key {key!r}, which a checkpoint cannot hold: use text or numbers as keys")
    return simple


def _described(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__qualname__}"
    named = getattr(value, "__qualname__", None)
    return f"the function {named}" if callable(value) and named else f"of type {type(value).__qualname__}"


def plain_hyperparameters(
    owner: type, arguments: Mapping[str, Any] | Namespace, conversions: Conversions | None = None
) -> dict[str, Any]:
    """Return the arguments of a module or a data module that are hyper-parameters, as plain values.

    Those in the attribute ``run_time_arguments`` of its class, or of a base class, are none.

    Args:
        owner: Class of the module or data module.
        arguments: Its arguments, those of its base classes included.
        conversions: What to do with objects of other classes.

    Raises:
        TypeError: if an argument cannot be made plain; names it.
    """
    given = vars(arguments) if isinstance(arguments, Namespace) else arguments
    left_out = {name for base in owner.__mro__ for name in vars(base).get("run_time_arguments", ())}
    return {name: plain(given[name], name, conversions) for name in given if name not in left_out}


def store_hyperparameters(owner: HyperparametersMixin, arguments: Mapping[str, Any]) -> None:
    """Store arguments, arrays among them, as the hyper-parameters of a module or data module, in its constructor."""
    frame = sys._getframe()
    while frame.f_back is not None:  # Lightning would compare the arguments of a constructor with the dictionary
        frame = frame.f_back
    owner.save_hyperparameters(dict(arguments), frame=frame)


def constructor_arguments(owner: HyperparametersMixin, frame: FrameType) -> dict[str, Any]:
    """Return the arguments of an object's constructors by name, where the frame is in one of them."""
    arguments: dict[str, Any] = {}
    for of_class in collect_init_args(frame, [], classes=(type(owner),)):
        arguments |= of_class
    return arguments


def configured_arguments(owner: HyperparametersMixin, frame: FrameType) -> dict[str, Any]:
    """Return the arguments as a configuration names them, where LightningCLI makes the object, else as they came."""
    configured: dict[str, Any] | None = _given_hyperparameters.get()
    return constructor_arguments(owner, frame) if configured is None else configured


@contextmanager
def unconfigured() -> Iterator[None]:
    """Make objects whose arguments are those that they get, in the constructor of one that a configuration names."""
    token = _given_hyperparameters.set(None)
    try:
        yield
    finally:
        _given_hyperparameters.reset(token)


def with_plain_numbers(state: Any) -> Any:
    """Return a state with Python's numbers and text for NumPy's, and text for paths; all else is kept as it is.

    Optimizers, schedules and callbacks keep the numbers that they were given, and a checkpoint with NumPy's cannot be
    loaded with ``weights_only=True``.

    Args:
        state: Dictionaries, lists and tuples of anything.

    >>> with_plain_numbers({"lr": np.float64(0.5), "betas": (np.float32(0.5), 0.999)})
    {'lr': 0.5, 'betas': (0.5, 0.999)}
    """
    if type(state) in (list, tuple):
        entries = type(state)(with_plain_numbers(entry) for entry in state)
        return entries if _differs(entries, state) else state
    if isinstance(state, dict):
        keys, values = (with_plain_numbers(list(part)) for part in (state.keys(), state.values()))
        is_changed = _differs(keys, state.keys()) or _differs(values, state.values())
        return dict(zip(keys, values, strict=True)) if is_changed else state
    return _simple(state) if isinstance(state, np.generic | PurePath) else state


def _differs(entries: Iterable[Any], others: Iterable[Any]) -> bool:
    return any(entry is not other for entry, other in zip(entries, others, strict=True))


def require_list(**arguments: object) -> None:
    """Check arguments that take several values; ``None`` passes, but a text does not, which would count as its letters.

    Raises:
        TypeError: if one is a text, a dictionary or a single value; names it.
    """
    for name, value in arguments.items():
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable | None):
            raise TypeError(f"{name} is {value!r}, expected a list: {name}=[{value!r}]")


def require_mapping(**arguments: object) -> None:
    """Check arguments that take values by name; ``None`` passes.

    Raises:
        TypeError: if one is no mapping; names it.
    """
    for name, value in arguments.items():
        if not isinstance(value, Mapping | None):
            raise TypeError(f"{name} is {value!r}, expected a dictionary, with a name for each value")
