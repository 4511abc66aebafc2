"""What the devices that tensors lie on can hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

DEVICES_WITHOUT_FLOAT64 = ("mps",)


def held_dtype(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """Return the type that values have on a device: float32 for float64 where it has none."""
    return torch.float32 if dtype == torch.float64 and device.type in DEVICES_WITHOUT_FLOAT64 else dtype


class PreciseBuffers(nn.Module):
    """Module whose buffers keep their precision when the weights change theirs.

    A pressure of 101325 ± 100 Pa is a constant to bfloat16. Devices without float64 get float32.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(lambda buffer: _moved(buffer, fn), recurse)  # type: ignore[no-untyped-call]
        return self


def _moved(buffer: Tensor, fn: Callable[[Tensor], Tensor]) -> Tensor:
    """Return a buffer where ``fn`` moves it, in its own precision."""
    try:
        moved = fn(buffer)
    except TypeError:  # the device has no float64
        return fn(buffer.float())
    return moved if moved.dtype == buffer.dtype else buffer.to(moved.device)
