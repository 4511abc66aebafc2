"""Public import paths of classes: what files on disk name a class by."""

from __future__ import annotations

import sys
from collections.abc import Iterator


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
    if package == class_path.partition(".")[0]:
        return f"there is no {class_path}: no module {name} is installed, or lies in the current directory"
    return f"{class_path} needs the package {package}, which is not installed: pip install {package}"


def _exports(path: str) -> Iterator[tuple[str, type]]:
    """Yield the classes of that name in the packages above, with their paths, the shortest first."""
    *packages, name = path.split(".")
    for n in range(1, len(packages) + 1):
        package = ".".join(packages[:n])
        found = getattr(sys.modules.get(package), name, None)
        if isinstance(found, type):
            yield f"{package}.{name}", found
