"""Public import paths of classes: what files on disk name a class by."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from importlib.util import find_spec

_INSTALLED_BY = {
    "neuralop": "neuraloperator",
    "physicsnemo": "nvidia-physicsnemo",
    "torch_harmonics": "'fno_lightning[spherical]'",
}
"""What pip calls a package that is imported by another name, or that only some versions of go with the others."""

_HIDDEN = {"neuralop.models.SFNO": "torch_harmonics", "neuralop.models.LocalNO": "torch_harmonics"}
"""Classes that a library leaves out without a word where a package is missing, with the package."""


def public_path(cls: type) -> str:
    """Return the shortest path that exports a class, e.g. ``fno_lightning.pdes.DarcyFlow``.

    The file that defines the class is not part of it where a package above exports the class, so that the file may be
    moved or renamed.

    Args:
        cls: Any class; one that no package exports keeps its full path.
    """
    full = f"{cls.__module__}.{cls.__qualname__}"
    return next((path for path, found in _exports(full) if found is cls), full)


def current_path(path: str) -> str:
    """Return the public path of a class that an older version named by the file it was defined in.

    Nothing is imported, because the path may come from a file of somebody else: only packages that are imported
    already are looked at.

    Args:
        path: Path of a class. One that no imported package exports is returned as it is.
    """
    module, _, name = path.rpartition(".")
    defined = getattr(sys.modules.get(module), name, None)
    if isinstance(defined, type):
        return public_path(defined)
    return next((public for public, _ in _exports(path)), path)


def missing_module(name: str, class_path: str) -> str:
    """Return what to say of a module that is not there, to somebody who has named a class.

    Args:
        name: The module.
        class_path: Path of the class that was to be imported.
    """
    package = name.partition(".")[0]
    install = f"pip install {_INSTALLED_BY.get(package, package)}"
    if package != class_path.partition(".")[0]:
        return f"{class_path} needs the package {package}, which is not installed: {install}"
    known = f": {install}" if package in _INSTALLED_BY else ""
    return f"there is no {class_path}: no module {name} is installed, or lies in the current directory{known}"


def import_class(class_path: str, base: type, name: str) -> type:
    """Import a class by its path.

    Args:
        class_path: Path of the class.
        base: Class that it must be derived from.
        name: Name of the option that holds the path, for messages.

    Raises:
        ValueError: if it cannot be imported, with what to install where a package is missing, or is another class.

    >>> import_class("collections.OrderedDict", dict, "kind")
    <class 'collections.OrderedDict'>
    """
    module_path, _, class_name = class_path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_path), class_name)
    except ModuleNotFoundError as error:
        raise ValueError(f"{name}: {missing_module(error.name or str(error), class_path)}") from error
    except (ImportError, AttributeError, ValueError) as error:
        package = _HIDDEN.get(class_path)
        if package is not None and not _is_installed(package):
            raise ValueError(f"{name}: {missing_module(package, class_path)}") from error
        raise ValueError(f"{name} {class_path!r} cannot be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ValueError(f"{name} {class_path!r} is not a {base.__module__.partition('.')[0]}.nn.{base.__name__} class")
    return found


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # what hides it has no spec
        return False


def _exports(path: str) -> Iterator[tuple[str, type]]:
    """Yield the classes of that name in the packages above, with their paths, the shortest first."""
    *packages, name = path.split(".")
    for n in range(1, len(packages) + 1):
        package = ".".join(packages[:n])
        found = getattr(sys.modules.get(package), name, None)
        if isinstance(found, type):
            yield f"{package}.{name}", found
