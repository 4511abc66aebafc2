"""Precision of the data: float64 where a value needs it, else float32."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

_ROUNDING = {np.dtype(np.float32): float(np.finfo(np.float32).eps), np.dtype(np.float64): 16 * np.finfo(np.float64).eps}
"""Relative size of what may be rounding, in a standard deviation of stored values; ours included for float64."""


def batch_dtype(stored: Iterable[np.dtype]) -> np.dtype:
    """Return the type of a batch of values that are stored in some types.

    It is float64 where one of them holds numbers that float32 does not: float64, long double, integers of 32 bits and
    more. Long double is rounded.
    """
    is_wide = any(np.result_type(dtype, np.float32) != np.float32 for dtype in stored)
    return np.dtype(np.float64 if is_wide else np.float32)


def as_floats(values: np.ndarray) -> np.ndarray:
    """Return stored numbers in the precision of a batch, without a copy where they have it.

    Raises:
        OverflowError: if float64 does not hold a finite long double.
    """
    dtype = batch_dtype([values.dtype])
    if values.dtype.itemsize <= 8:
        return values.astype(dtype, copy=False)
    with np.errstate(over="ignore"):
        converted = values.astype(dtype)
    if np.isinf(converted).any() and np.isfinite(values[np.isinf(converted)]).any():
        largest = np.format_float_scientific(np.abs(values[np.isfinite(values)]).max(), precision=2)
        raise OverflowError(f"holds finite values up to {largest}, beyond float64: store it in another unit")
    return converted


def torch_dtype(dtype: np.dtype) -> torch.dtype:
    """Return the tensors' type of a batch."""
    return torch.float64 if dtype == np.float64 else torch.float32


def significant(std: Tensor, size: Tensor, stored: Iterable[np.dtype]) -> Tensor:
    """Return standard deviations, 0 where they are no more than rounding of the values.

    Args:
        std: Standard deviation of each channel, float64.
        size: Size of its values.
        stored: Type that it is stored in; the coarsest, where the files differ.
    """
    rounding = torch.tensor([_ROUNDING[batch_dtype([dtype])] for dtype in stored], dtype=torch.float64)
    return torch.where(std > rounding * size.abs(), std, torch.zeros_like(std))
