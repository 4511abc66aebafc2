"""What the devices that tensors lie on can hold."""

from __future__ import annotations

import torch

DEVICES_WITHOUT_FLOAT64 = ("mps",)


def held_dtype(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """Return the type that values have on a device: float32 for float64 where it has none."""
    return torch.float32 if dtype == torch.float64 and device.type in DEVICES_WITHOUT_FLOAT64 else dtype
