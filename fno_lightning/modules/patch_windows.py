"""Windows of a field: patches of its grid with what lies around them, and the way back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class PatchAxis:
    """One axis of a grid that is cut into patches.

    Args:
        n_points: Points of the whole axis.
        n_patches: Patches; an axis with one is left whole.
        halo_if_cut: Points on each side of a patch, if there are several.
        periodic: Whether the axis is periodic.
    """

    n_points: int
    n_patches: int
    halo_if_cut: int
    periodic: bool

    @property
    def halo(self) -> int:
        """Points on each side of a patch."""
        return self.halo_if_cut if self.n_patches > 1 else 0

    @property
    def length(self) -> int:
        """Points of a patch."""
        return self.n_points // self.n_patches

    @property
    def window(self) -> int:
        """Points of a patch with its halos."""
        return self.length + 2 * self.halo

    def points(self, patches: Int[Tensor, " patch"], level: int) -> Int[Tensor, "patch window"]:
        """Return the points of windows on a level, of which some may lie outside the domain."""
        stride = 2**level if self.n_patches > 1 else 1
        before = stride * self.halo + math.ceil((stride - 1) * self.length / 2)  # so that it is centred
        window = stride * torch.arange(self.window, device=patches.device) - before
        return patches[:, None] * self.length + window

    def inside(self, points: Tensor) -> Tensor:
        """Return the points of the domain whose values are taken at the given points."""
        return points % self.n_points if self.periodic else points.clamp(0, self.n_points - 1)


def windows_of(
    x: Float[Tensor, "batch channel *grid"],
    axes: Sequence[PatchAxis],
    patches: Int[Tensor, " patch"],
    *,
    levels: int,
    positions: bool,
) -> Float[Tensor, "patch in_channel *window"]:
    """Gather patches with their halos and surroundings.

    Args:
        x: Whole fields.
        axes: How they are cut.
        patches: Numbers of the patches, counted through all samples, the last axis fastest.
        levels: Number of coarser surroundings, whose channels follow those of the field.
        positions: Put the position of each point in the domain before them, one channel for each axis.
    """
    along: list[Tensor] = []  # the number of each patch along each axis
    for axis in reversed(axes):
        along.insert(0, patches % axis.n_patches)
        patches = patches // axis.n_patches
    samples = patches.view(-1, *[1] * len(axes))
    parts = list(_positions(x, axes, along)) if positions else []
    for level in range(levels + 1):
        points = [axis.inside(axis.points(patch, level)) for axis, patch in zip(axes, along, strict=True)]
        index: list[Any] = [samples, slice(None), *_across(points)]
        parts.append(x[tuple(index)].movedim(-1, 1))
    return torch.cat(parts, dim=1)


def cropped(windows: Tensor, axes: Sequence[PatchAxis]) -> Tensor:
    """Return windows without their halos."""
    for dim, axis in enumerate(axes, start=2):
        windows = windows.narrow(dim, axis.halo, axis.length)
    return windows


def stitched(
    patches: Float[Tensor, "patch channel *length"], axes: Sequence[PatchAxis]
) -> Float[Tensor, "batch channel *grid"]:
    """Put all patches of some samples together."""
    n_dims = len(axes)
    apart = torch.unflatten(
        patches, 0, (-1, *(axis.n_patches for axis in axes))
    )  # (batch, *n_patches, channel, *length)
    order = [dim for axis in range(1, n_dims + 1) for dim in (axis, axis + n_dims + 1)]
    grid = [axis.n_points for axis in axes]
    return apart.permute(0, n_dims + 1, *order).reshape(-1, patches.shape[1], *grid)


def _positions(x: Tensor, axes: Sequence[PatchAxis], along: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield one channel for each axis, with the position of each point of the windows in the whole domain."""
    points = [axis.points(patch, level=0) for axis, patch in zip(axes, along, strict=True)]
    points = [axis.inside(p) if axis.periodic else p for axis, p in zip(axes, points, strict=True)]
    dtype = torch.promote_types(x.dtype, torch.float32)
    windows = [axis.window for axis in axes]
    for axis, across in zip(axes, _across(points), strict=True):
        position = (across.to(dtype) / axis.n_points).to(x.dtype)
        yield position.expand(-1, *windows).unsqueeze(1)


def _across(points: Sequence[Tensor]) -> list[Tensor]:
    """View points ``(patch, window)`` of each axis such that they broadcast with those of the other axes."""
    n_dims = len(points)
    return [p.view(len(p), *[1] * axis, -1, *[1] * (n_dims - axis - 1)) for axis, p in enumerate(points)]
