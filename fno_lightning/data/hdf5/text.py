"""Text in HDF5 files, as various tools store it."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np


def decoded(value: Any) -> str:
    """Return text without the padding of fixed lengths; what is not UTF-8 is taken for Latin-1."""
    if isinstance(value, bytes):
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        return text.rstrip("\0 ")
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError:  # how h5py returns bytes that are not UTF-8
        return text.encode(errors="surrogateescape").decode("latin-1")
    return text


def content_noun(dtype: np.dtype) -> str:
    """Name what a data set of some type holds, if it is not real numbers."""
    if h5py.check_string_dtype(dtype) is not None:
        return f"text (type {dtype})"
    if dtype.kind == "c":
        return f"complex numbers ({dtype})"
    if dtype.names:
        return f"records of {', '.join(dtype.names)}"
    return f"values of type {dtype}"
