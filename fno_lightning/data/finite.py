"""Values that are not finite, named by where they lie."""

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


def require_finite_frames(frames: Tensor, numbers: Sequence[int], names: Sequence[str], place: str) -> None:
    """Checks frames of a trajectory.

    Args:
        frames: ``(time, field, *grid)``.
        numbers: Number of each frame in its trajectory.
        names: Names of the fields.
        place: The trajectory and its file, see :func:`trajectory_place`.

    Raises:
        ValueError: if a value is not finite; names the first field and frame.
    """
    for step, channel in _not_finite(frames):
        raise ValueError(_NOT_FINITE.format(name=names[channel], place=f"frame {numbers[step]} of {place}"))


def require_finite_constants(constants: Tensor, names: Sequence[str], place: str) -> None:
    """Checks the constant fields ``(constant_field, *grid)`` of a trajectory.

    Raises:
        ValueError: if a value is not finite; names the first field.
    """
    for _, channel in _not_finite(constants[None]):
        raise ValueError(_NOT_FINITE.format(name=names[channel], place=place))


def trajectory_place(trajectory: int, path: Path) -> str:
    """Says which trajectory of which file."""
    return f"trajectory {trajectory} of {path}"


_NOT_FINITE = (
    "'{name}' holds NaN or infinite values in {place}, expected finite ones: simulate or download the file again, or "
    "leave it out with exclude_filters"
)


def _not_finite(frames: Tensor) -> list[list[int]]:
    """Step and channel of every image in ``(step, channel, *grid)`` that holds a value that is not finite."""
    places: list[list[int]] = (~torch.isfinite(frames)).flatten(2).any(-1).nonzero().tolist()
    return places
