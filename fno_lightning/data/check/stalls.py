"""Tells frames that were lost from a state that has come to rest."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Num

NEGLIGIBLE = 1e-3
"""Activity, relative to the largest of its trajectory, below which a field has all but come to rest."""


def find_stalls(activity: Num[np.ndarray, " frame"]) -> tuple[Bool[np.ndarray, " frame"], Bool[np.ndarray, " frame"]]:
    """Finds the frames without activity, unless none has any.

    Real fields come to rest gradually: a reaction dies out and its frames become equal to the last bit. Where activity
    ceases or begins from one frame to the next, a frame was written twice, or never.

    Args:
        activity: How much a field varies in each frame, zero if not at all; NaN where that is not known.

    Returns:
        Frames in which activity is missing suddenly, and those in which it is missing gradually.
    """
    is_still = activity == 0
    sudden, gradual = np.zeros_like(is_still), np.zeros_like(is_still)
    if not is_still.any() or is_still.all():
        return sudden, gradual
    is_active = activity > NEGLIGIBLE * np.nanmax(activity)
    edges = np.flatnonzero(np.diff(np.pad(is_still, 1).astype(np.int8)))
    for begin, end in edges.reshape(-1, 2):
        neighbours = [is_active[index] for index in (begin - 1, end) if 0 <= index < len(activity)]
        (sudden if all(neighbours) else gradual)[begin:end] = True
    return sudden, gradual
