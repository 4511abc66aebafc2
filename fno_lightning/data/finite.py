"""Values that are not finite, named by their location."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor


def all_finite(*parts: Tensor) -> bool:
    """Whether every value is finite, in one pass over them."""
    if torch.stack([part.sum() for part in parts]).sum().isfinite():  # a sum is finite only if all of its terms are
        return True
    return all(bool(part.isfinite().all()) for part in parts)


def require_finite(values: Tensor, name: str, location: str | Path) -> None:
    """Check the values of a field.

    Args:
        values: The values, or sums of them.
        name: Name of the field.
        location: The part of the data set that they are from.

    Raises:
        ValueError: if a value is not finite; names the field and the location.
    """
    if not all_finite(values):
        raise ValueError(
            f"'{name}' holds NaN or infinite values in {location}, expected finite ones: simulate or download the file "
            "again, or leave it out with exclude_filters"
        )


def narrowed(values: Tensor, dtype: torch.dtype, location: str) -> Tensor:
    """Convert values to the type that a device holds.

    Args:
        values: The values.
        dtype: The type.
        location: The part of the data set that they are from.

    Raises:
        ValueError: if a finite value is too large for it.
    """
    converted = values.to(dtype)
    if converted is not values and all_finite(values) and not all_finite(converted):
        raise ValueError(
            f"{location} hold values up to {values.abs().max():.3g}, which float32 does not hold, and the device that "
            "trains has no float64: train on another one, or store them in another unit"
        )
    return converted


def require_finite_frames(frames: Tensor, numbers: Sequence[int], names: Sequence[str], trajectory: str) -> None:
    """Check frames of a trajectory.

    Args:
        frames: ``(time, field, *grid)``.
        numbers: Number of each frame in its trajectory.
        names: Names of the fields.
        trajectory: The trajectory and its file, see :func:`trajectory_location`.

    Raises:
        ValueError: if a value is not finite; names the first frame and its first such field.
    """
    if all_finite(frames):
        return
    for number, frame in zip(numbers, frames, strict=True):
        for name, values in zip(names, frame, strict=True):
            require_finite(values, name, f"frame {number} of {trajectory}")


def require_finite_constants(constants: Tensor, names: Sequence[str], trajectory: str) -> None:
    """Check the constant fields ``(constant_field, *grid)`` of a trajectory.

    Raises:
        ValueError: if a value is not finite; names the first such field.
    """
    for name, values in zip(names, constants, strict=True):
        require_finite(values, name, trajectory)


def trajectory_location(trajectory: int, path: Path) -> str:
    """Name a trajectory of a file."""
    return f"trajectory {trajectory} of {path}"
