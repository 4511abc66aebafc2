"""Filters that the chunks of a data set need, e.g. to be decompressed."""

from __future__ import annotations

import importlib
from contextlib import suppress

import h5py

_NAMES = {
    4: "szip",
    305: "lzo",
    307: "bzip2",
    32000: "lzf",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32017: "sz",
    32018: "fcidecomp",
    32024: "sz3",
    32026: "blosc2",
    32028: "sperr",
}
"""Names of filters by the numbers under which The HDF Group has registered them."""


def missing_filter(dataset: h5py.Dataset) -> str:
    """Name a filter that a data set's stored chunks need and that is not installed; empty if there is none.

    The package hdf5plugin is imported, where it is installed, as soon as a data set needs one of its filters.

    Args:
        dataset: The open data set.
    """
    if dataset.chunks is None:
        return ""
    properties = dataset.id.get_create_plist()
    for position in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(position)
        if not _is_available(code) and _is_applied(dataset, position):
            known = _NAMES.get(code) or name.decode(errors="replace").strip("\0 ")
            return f"{code} ({known})" if known else str(code)
    return ""


def _is_available(code: int) -> bool:
    if h5py.h5z.filter_avail(code):
        return True
    with suppress(ImportError):
        importlib.import_module("hdf5plugin")  # which registers its filters
    return bool(h5py.h5z.filter_avail(code))


def _is_applied(dataset: h5py.Dataset, position: int) -> bool:
    """Whether a stored chunk has passed the filter: an optional one is left out where it was not installed."""
    chunks = (dataset.id.get_chunk_info(number) for number in range(dataset.id.get_num_chunks()))
    return any(not chunk.filter_mask >> position & 1 for chunk in chunks)
