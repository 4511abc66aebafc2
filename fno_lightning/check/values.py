"""Checks the values of the fields: finite, not constant, not repeated."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fno_lightning.check.fields import StoredField
from fno_lightning.check.findings import Findings
from fno_lightning.check.survey import Survey, find_stalls, survey_field

LOST = "simulate or download the file again"


def check_values(stored: Sequence[StoredField], findings: Findings, report: Callable[[float], None]) -> None:
    """Reads all fields once and checks their values.

    Args:
        stored: The fields.
        findings: Where to add the faults.
        report: Called with the fraction that is done.
    """
    n_values = sum(item.entry.handle.size for item in stored)
    n_read = 0

    def count(n_new: int) -> None:
        nonlocal n_read
        n_read += n_new
        report(n_read / n_values)

    surveys = [findings.attempt(survey_field, item, count) for item in stored]
    read = [survey for survey in surveys if survey is not None]
    for survey in read:
        _check_finite(survey, findings)
    moving = [survey for survey in read if survey.field.time_varying]
    _check_dynamics(moving, findings)
    for survey in moving:
        _check_uniform_frames(survey, findings)
        _check_repeated_frames(survey, findings)


def _check_finite(survey: Survey, findings: Findings) -> None:
    if survey.first_bad is None:
        return
    counts = ((survey.n_nan, "NaN"), (survey.n_infinite, "infinite"))
    found = " and ".join(f"{count} {kind}" for count, kind in counts if count)
    trajectory, frame = survey.first_bad
    findings.error(
        survey.place,
        f"holds values that are not finite: {found}, the first in {_where(survey, trajectory, frame)}; {LOST}",
    )


def _check_dynamics(moving: Sequence[Survey], findings: Findings) -> None:
    """Checks that in each trajectory some field varies in space, and some in time if there is more than one frame."""
    in_time = [(survey.change == 0).all(axis=1) for survey in moving if survey.change.size]
    in_space = [(survey.spread == 0).all(axis=(1, 2)) for survey in moving]
    for still, what in ((in_time, "changes in time"), (in_space, "varies in space")):
        is_dead = np.logical_and.reduce(np.broadcast_arrays(*still)) if still else np.zeros(1, dtype=bool)
        if is_dead.any():
            where = f"{is_dead.sum()} of {is_dead.size} trajectories (the first: {is_dead.argmax()})"
            findings.error("/", f"has no time-dependent field that {what} in {where}: {LOST}")


def _check_uniform_frames(survey: Survey, findings: Findings) -> None:
    """Checks that no frame of a component that varies has one value everywhere; the initial state may be at rest."""
    for index, component in enumerate(survey.field.components):
        spread = survey.spread[:, :, index]
        found = f"'{component}' has one value everywhere"
        if (spread == 0).all():
            findings.warning(survey.place, f"{found}, in all trajectories and frames")
            continue
        whole = (spread == 0).all(axis=1, keepdims=True)
        sudden, gradual = _stalls(spread)
        initial = np.logical_and.accumulate(sudden, axis=1)
        if (sudden & ~initial).any():
            where = _count(survey, sudden & ~initial)
            findings.error(survey.place, f"{found} in {where}, next to frames in which it varies: {LOST}")
        if (initial | gradual | whole).any():
            findings.warning(
                survey.place, f"{found} in {_count(survey, initial | gradual | whole)}: check that this is meant"
            )


def _check_repeated_frames(survey: Survey, findings: Findings) -> None:
    """Checks that no frame equals the one before, unless both are uniform, which is told already."""
    is_still = survey.change == 0
    is_uniform = (survey.spread == 0).all(axis=2)
    is_told = is_uniform[:, 1:] & is_uniform[:, :-1]
    if not (is_still & ~is_told).any():
        return
    if is_still.all():
        findings.warning(survey.place, "does not change in time, in no trajectory: store it with time_varying = False")
        return
    sudden, gradual = _stalls(survey.change)
    lost = sudden & ~is_told
    at_rest = (gradual | is_still.all(axis=1, keepdims=True)) & ~is_told
    found = "equals the frame before to the last bit"
    if lost.any():
        findings.error(survey.place, f"{found} in {_count(survey, lost, 1)}, next to frames that change: {LOST}")
    if at_rest.any():
        findings.warning(survey.place, f"{found} in {_count(survey, at_rest, 1)}: check that this is meant")


def _stalls(activity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds the frames without activity in each trajectory."""
    pairs = [find_stalls(trajectory) for trajectory in activity]
    return np.stack([sudden for sudden, _ in pairs]), np.stack([gradual for _, gradual in pairs])


def _count(survey: Survey, is_meant: np.ndarray, first_frame: int = 0) -> str:
    """Says how many frames are meant, ``(trajectory, frame)``, and which is the first."""
    trajectory, frame = np.argwhere(is_meant)[0].tolist()
    first = _where(survey, trajectory, frame + first_frame)
    return f"{is_meant.sum()} of {survey.spread[:, :, 0].size} frames (the first: {first})"


def _where(survey: Survey, trajectory: int, frame: int) -> str:
    """Names a frame of those that the field has."""
    parts = [f"trajectory {trajectory}"] * survey.field.sample_varying + [f"frame {frame}"] * survey.field.time_varying
    return ", ".join(parts) or "the only frame"
