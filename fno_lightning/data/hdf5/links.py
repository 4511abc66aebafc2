"""Other places and files that the entries of an HDF5 file lead to: links, virtual data sets, external storage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import h5py

from fno_lightning.data.hdf5.failures import reason
from fno_lightning.data.hdf5.text import decoded


def has_link(group: h5py.Group, name: str) -> bool:
    """Whether a group has an entry of a name, whether or not that can be opened."""
    try:
        return bool(group.id.links.exists(name.encode()))
    except (KeyError, OSError, RuntimeError):
        return False


def stored_name(group: h5py.Group, name: str) -> str | bytes:
    """Return the name of an entry as a group has it: in Latin-1, where it was written so."""
    encoded = name.encode("latin-1", errors="ignore")
    try:
        return encoded if not has_link(group, name) and group.id.links.exists(encoded) else name
    except (KeyError, OSError, RuntimeError):
        return name


def link_target(group: h5py.Group, name: str) -> str:
    """Return the target of a soft or an external link (``FILE:PATH``); empty if there is no such link in a group."""
    links, encoded = group.id.links, name.encode()
    try:
        kind = links.get_info(encoded).type
        if kind == h5py.h5l.TYPE_SOFT:
            return decoded(links.get_val(encoded))
        if kind == h5py.h5l.TYPE_EXTERNAL:
            return ":".join(decoded(part) for part in links.get_val(encoded))
    except (KeyError, OSError, RuntimeError):
        pass
    return ""


def missing_source(dataset: h5py.Dataset) -> str:
    """Explain which part of a data set lies elsewhere and cannot be read; empty if all is in place.

    HDF5 itself reads the parts of a virtual data set that are missing, directly or at one of its sources, and the end
    of an external file that is too short, as zeros, without an error.

    Args:
        dataset: The open data set.
    """
    for name, offset, n_bytes in dataset.external or ():
        file = _found(dataset, name, "HDF5_EXTFILE_PREFIX", beside=False)
        if file is None:
            return (
                f"is stored in the file {name}, which does not exist: put it there, and where the path is relative, "
                "start in that folder or set HDF5_EXTFILE_PREFIX"
            )
        size = file.stat().st_size
        if n_bytes != h5py.h5f.UNLIMITED and size < offset + n_bytes:
            return f"is stored in the file {file}, which has {size} of {offset + n_bytes} bytes: bring the whole of it"
    for name, path in dict.fromkeys((source.file_name, source.dset_name) for source in _virtual_sources(dataset)):
        if why := _cannot_open(dataset, name, path):
            return f"is a virtual data set of {name}:{path}, which cannot be read ({why}): put the source in its place"
    return ""


def other_files(dataset: h5py.Dataset, path: Path) -> Iterator[Path]:
    """Yield the files beside one through which a data set is reached that its values come from.

    Args:
        dataset: The open data set, of which no source is missing.
        path: The file.
    """
    if not is_within(dataset, path):
        yield Path(dataset.file.filename)
    for name, _, _ in dataset.external or ():
        if file := _found(dataset, name, "HDF5_EXTFILE_PREFIX", beside=False):
            yield file
    for name, inner in {(source.file_name, source.dset_name) for source in _virtual_sources(dataset)}:
        if name != "." and (file := _found(dataset, name, "HDF5_VDS_PREFIX", beside=True)):
            yield file
            with h5py.File(file, "r") as handle:
                if "%" not in inner:
                    yield from other_files(handle[inner], file)


def files_of(dataset: h5py.Dataset) -> set[str]:
    """Return the names of the files that HDF5 holds open for a data set, beside that through which it is reached."""
    names = {source.file_name for source in _virtual_sources(dataset)} - {"."}
    return names | {dataset.file.filename}


def require_descriptors(dataset: h5py.Dataset) -> None:
    """Check that the files of a virtual data set can all be open at once.

    HDF5 reads the parts for which no descriptor is left as zeros, without an error.

    Raises:
        OSError: if they cannot.
    """
    n_files = len(files_of(dataset)) if dataset.is_virtual else 0
    taken: list[int] = []
    try:
        for _ in range(n_files):
            taken.append(os.open(os.devnull, os.O_RDONLY))  # noqa: PERF401, to be closed again where one fails
    finally:
        for descriptor in taken:
            os.close(descriptor)


def is_within(dataset: h5py.Dataset, path: Path) -> bool:
    """Whether a data set lies in a file itself, not in one that a link leads to."""
    try:
        return Path(dataset.file.filename).samefile(path)
    except OSError:
        return False


def _virtual_sources(dataset: h5py.Dataset) -> list[h5py._hl.vds.VDSmap]:
    return dataset.virtual_sources() if dataset.is_virtual else []


def _cannot_open(dataset: h5py.Dataset, name: str, path: str) -> str:
    """Return why a source of a virtual data set cannot be read; empty if it can, or its name is a pattern."""
    if "%" in name + path:
        return ""
    try:
        if name == ".":
            _ = dataset.file[path]
            return ""
        file = _found(dataset, name, "HDF5_VDS_PREFIX", beside=True)
        if file is None:
            return "there is no such file"
        with h5py.File(file, "r") as handle:
            source = handle[path]
            return missing_source(source) if isinstance(source, h5py.Dataset) else "it is no data set"
    except (KeyError, OSError, RuntimeError) as error:
        return reason(error)


def _found(dataset: h5py.Dataset, name: str, variable: str, *, beside: bool) -> Path | None:
    """Return where HDF5 finds a file that a data set names."""
    return next((path for path in _candidates(dataset, name, variable, beside=beside) if path.exists()), None)


def _candidates(dataset: h5py.Dataset, name: str, variable: str, *, beside: bool) -> Iterator[Path]:
    """Yield the paths where HDF5 looks for a file: below a prefix, beside the file that names it, from here."""
    folder = Path(dataset.file.filename).absolute().parent
    if prefix := os.environ.get(variable):
        yield Path(prefix.replace("${ORIGIN}", str(folder))) / name
    if beside:
        yield folder / name
        yield Path(dataset.file.filename).resolve().parent / name
    yield Path(name)
