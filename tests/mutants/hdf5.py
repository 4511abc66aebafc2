"""Damages to a file in The Well's format."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

Damage = Callable[[Path, random.Random], str]
"""Changes a file, and says how."""


def flip_bytes(path: Path, rng: random.Random) -> str:
    """Flip bits of some bytes anywhere."""
    data = bytearray(path.read_bytes())
    places = sorted(rng.randrange(len(data)) for _ in range(rng.choice((1, 1, 4, 32))))
    for place in places:
        data[place] ^= rng.randrange(1, 256)
    path.write_bytes(data)
    return f"bytes {places[:4]}"


def flip_metadata(path: Path, rng: random.Random) -> str:
    """Flip bits of bytes that are not values of fields: where the same bytes do not repeat in what h5py reads."""
    data = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        values: list[tuple[int, int]] = []
        file.visititems(lambda _, item: values.append(_extent(item)) if isinstance(item, h5py.Dataset) else None)
    free = [i for i in range(len(data)) if not any(first <= i < last for first, last in values)]
    places = [rng.choice(free) for _ in range(rng.choice((1, 1, 2, 8)))]
    for place in places:
        data[place] ^= 1 << rng.randrange(8) if rng.random() < 0.5 else rng.randrange(1, 256)
    path.write_bytes(data)
    return f"bytes {places[:4]} of metadata"


def _extent(dataset: h5py.Dataset) -> tuple[int, int]:
    first = dataset.id.get_offset()
    return (0, 0) if first is None else (first, first + dataset.id.get_storage_size())


def truncate(path: Path, rng: random.Random) -> str:
    """Cut off the end, or append bytes."""
    size = path.stat().st_size
    new = rng.choice((0, 1, 7, 96, rng.randrange(size), rng.randrange(size), size - 1, size + 100))
    os.truncate(path, new)
    return f"{new} of {size} bytes"


def blank(path: Path, rng: random.Random) -> str:
    """Overwrite a block with zeros, ones or another part of the file."""
    data = bytearray(path.read_bytes())
    n = min(rng.choice((16, 512, 4096)), len(data) // 2)
    at, of = rng.randrange(len(data) - n), rng.randrange(len(data) - n)
    data[at : at + n] = rng.choice((bytes(n), b"\xff" * n, bytes(data[of : of + n])))
    path.write_bytes(data)
    return f"{n} bytes from {at}"


def change_attribute(path: Path, rng: random.Random) -> str:
    """Delete an attribute, or give it another value, type or shape."""
    with h5py.File(path, "a") as file:
        items: list[tuple[str, str]] = [("/", name) for name in file.attrs]
        file.visititems(lambda name, item: items.extend((name, key) for key in item.attrs))
        owner, name = rng.choice(items)
        attributes = file[owner].attrs
        if rng.random() < 0.25:
            del attributes[name]
            return f"{owner}@{name} deleted"
        value = rng.choice(
            (
                -1, 0, 10**12, 2**63 - 1, 1.5, float("nan"), True, "", "x" * 70000, "\u2603", b"\xff\xfe", [],
                [1, 2, 3], ["a", "a"], [True] * 9, np.zeros((3, 3)), np.int8(3), np.array(["x", "y", "z", "w"], "S1"),
                h5py.Empty("f4"), file.ref, np.array((1, 2.0), dtype=[("a", "i4"), ("b", "f8")]),
            )
        )  # fmt: skip
        del attributes[name]
        try:
            attributes[name] = value
        except (OSError, TypeError, ValueError):  # what HDF5 cannot store
            return f"{owner}@{name} deleted"
        return f"{owner}@{name} = {str(value)[:40]!r}"


def change_item(path: Path, rng: random.Random) -> str:
    """Delete, rename, link or replace a group or a data set, or give that another shape or type."""
    with h5py.File(path, "a") as file:
        names: list[str] = []
        file.visit(names.append)
        name = rng.choice(names)
        item = file[name]
        attributes = dict(item.attrs)
        shape = item.shape if isinstance(item, h5py.Dataset) else (2,)
        how = rng.choice(list(REPLACEMENTS))
        del item
        if how == "renamed":
            file.move(name, f"{name}_{rng.randrange(9)}")
            return f"{name} renamed"
        del file[name]
        REPLACEMENTS[how](file, name, shape, path)
        with contextlib.suppress(KeyError, OSError, AttributeError, RuntimeError):  # it leads nowhere, as it shall
            file[name].attrs.update(attributes)
        return f"{name} {how}"


def _huge(file: h5py.File, name: str, shape: tuple[int, ...], path: Path) -> None:
    file.create_dataset(name, (10**6,) * max(1, len(shape)), "f4", chunks=(64,) * max(1, len(shape)))


def _compressed(file: h5py.File, name: str, shape: tuple[int, ...], path: Path) -> None:
    if shape:
        file.create_dataset(name, (4 << 30, *shape[1:]), "f4", chunks=(1, *shape[1:]), compression="gzip")
    else:
        file[name] = np.float64(1e300)


def _dataset(values: Callable[[tuple[int, ...]], object]) -> Callable[[h5py.File, str, tuple[int, ...], Path], None]:
    def replace(file: h5py.File, name: str, shape: tuple[int, ...], path: Path) -> None:
        file[name] = values(shape)

    return replace


REPLACEMENTS: dict[str, Callable[[h5py.File, str, tuple[int, ...], Path], None]] = {
    "renamed": lambda *_: None,
    "deleted": lambda *_: None,
    "a group": lambda file, name, *_: file.create_group(name),
    "a number": _dataset(lambda shape: 3.0),
    "text": _dataset(lambda shape: np.full(shape or 1, b"text", "S4")),
    "integers": _dataset(lambda shape: np.ones(shape, "i2")),
    "complex": _dataset(lambda shape: np.ones(shape, "c8")),
    "references": _dataset(lambda shape: np.empty(shape or (1,), h5py.ref_dtype)),
    "nan": _dataset(lambda shape: np.full(shape, np.nan, "f4")),
    "one axis less": _dataset(lambda shape: np.ones(shape[1:], "f4")),
    "one axis more": _dataset(lambda shape: np.ones((*shape, 2), "f4")),
    "shorter": _dataset(lambda shape: np.ones([max(1, n - 1) for n in shape], "f4")),
    "empty": _dataset(lambda shape: np.ones([0 for n in shape], "f4")),
    "null": _dataset(lambda shape: h5py.Empty("f4")),
    "huge": _huge,
    "huge and compressed": _compressed,
    "a link to itself": lambda file, name, *_: file.__setitem__(name, h5py.SoftLink(f"/{name}")),
    "a link to nothing": lambda file, name, *_: file.__setitem__(name, h5py.SoftLink("/nowhere/at/all")),
    "a link to the root": lambda file, name, *_: file.__setitem__(name, h5py.SoftLink("/")),
    "the root itself": lambda file, name, *_: file.__setitem__(name, file["/"]),
    "a link to a device": lambda file, name, *_: file.__setitem__(name, h5py.ExternalLink("/dev/zero", "/x")),
    "a link to this file": lambda file, name, shape, path: file.__setitem__(
        name, h5py.ExternalLink(path.name, f"/{name}")
    ),
    "a link to a missing file": lambda file, name, *_: file.__setitem__(name, h5py.ExternalLink("none.hdf5", "/")),
}
"""What takes the place of an item."""

DAMAGES: dict[str, Damage] = {
    "flipped bytes": flip_bytes,
    "flipped metadata": flip_metadata,
    "truncated": truncate,
    "blanked": blank,
    "attribute": change_attribute,
    "item": change_item,
}
"""Kinds of damage by name."""
