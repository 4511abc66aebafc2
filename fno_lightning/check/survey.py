"""Reads a field once and keeps what tells faulty frames from sound ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Num

from fno_lightning.check.fields import StoredField
from fno_lightning.data.hdf5 import WellField
from fno_lightning.data.hdf5.blocks import frame_blocks

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


@dataclass(eq=False)
class Survey:
    """What was seen of a field; trajectories that share a field count as one.

    Attributes:
        place: The field's data set in the file.
        field: What its flags and its shape say.
        spread: Difference of the largest and the smallest value, ``(trajectory, frame, component)``; NaN where a
            frame is one point, or has values that are not finite.
        change: Largest change of a value from the frame before, ``(trajectory, frame - 1)``.
        n_nan: Number of values that are not a number.
        n_infinite: Number of infinite values.
        first_bad: Trajectory and frame of the first of them.
    """

    place: str
    field: WellField
    spread: np.ndarray
    change: np.ndarray
    n_nan: int = 0
    n_infinite: int = 0
    first_bad: tuple[int, int] | None = None


def survey_field(stored: StoredField, count: Callable[[int], None]) -> Survey:
    """Reads a field in chunks.

    Args:
        stored: The field.
        count: Called with the number of values of each chunk once it is done.

    Raises:
        EntryError: if it cannot be read.
    """
    field = stored.field
    n_trajectories = field.shape[0] if field.sample_varying else 1
    n_frames = field.shape[field.sample_varying] if field.time_varying else 1
    n_components = len(field.components)
    survey = Survey(
        place=stored.entry.location,
        field=field,
        spread=np.full((n_trajectories, n_frames, n_components), np.nan),
        change=np.full((n_trajectories, n_frames - 1), np.nan),
    )
    try:
        for block in frame_blocks(stored.entry.handle, field):
            new = block.frames[: block.n_new]
            _note_values(survey, block.trajectory, block.start, new)
            _note_changes(survey, block.trajectory, block.start, block.frames)
            count(new.size)
    except (OSError, RuntimeError) as error:  # RuntimeError: how h5py reports a filter that is not installed
        raise stored.entry.error(f"cannot be read ({error}): simulate or download the file again") from error
    return survey


def _note_values(survey: Survey, trajectory: int, start: int, frames: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        spread = frames.max(axis=1) - frames.min(axis=1)
    is_bad = ~np.isfinite(spread).all(axis=1)
    for index in np.flatnonzero(is_bad):
        n_nan, n_infinite = int(np.isnan(frames[index]).sum()), int(np.isinf(frames[index]).sum())
        survey.n_nan += n_nan
        survey.n_infinite += n_infinite
        if n_nan + n_infinite and survey.first_bad is None:
            survey.first_bad = (trajectory, start + int(index))
    if frames.shape[1] > 1:
        survey.spread[trajectory, start : start + len(frames)] = np.where(np.isfinite(spread), spread, np.nan)


def _note_changes(survey: Survey, trajectory: int, start: int, frames: np.ndarray) -> None:
    """Note the changes from the frame number ``start`` on."""
    with np.errstate(all="ignore"):
        change = np.abs(np.diff(frames, axis=0)).max(axis=(1, 2))
    survey.change[trajectory, start : start + len(change)] = np.where(np.isfinite(change), change, np.nan)
