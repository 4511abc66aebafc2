"""Compare a data set's ``stats.yaml`` with the data that it describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fno_lightning.check.report import Issue, Report
from fno_lightning.data.hdf5 import WellField, WellFile
from fno_lightning.data.hdf5.statistics import (
    OF_CHANGES,
    OF_VALUES,
    REPAIR,
    Table,
    compute_statistics,
    read_entries,
    read_entry,
    statistics_of,
)

TOLERANCE = 2e-3
"""Error of an entry relative to itself or the standard deviation, whichever is larger.

The Well writes five digits, computed in various precisions; a mistake that matters is larger than 0.2 %.
"""

Entries = dict[tuple[str, str], Tensor]


def check_statistics(path: Path, train: Sequence[WellFile], *, compare: bool = True) -> list[Issue]:
    """Check the entries, and compare them with the train split.

    Args:
        path: The ``stats.yaml``.
        train: Metadata of the files of the train split.
        compare: Whether these are all of its files.
    """
    report = Report(path)
    if not path.exists():
        report.warning("/", "is missing: fno_lightning computes it on first use, the_well's own reader does not")
        return report.issues
    content = report.attempt(read_entries, path)
    if content is None:
        return report.issues
    fields = {field.name: field for field in train[0].fields}
    _check_names(content, fields, report)
    entries = _entries(content, fields, min(file.n_frames for file in train), report)
    if not compare:
        report.warning("/", "is not compared with the data, as files of the train split cannot be read: correct them")
        return report.issues
    for name, field in fields.items():
        computed = _computed(train, field)
        if computed is not None:
            _compare({key: entry for key, entry in entries.items() if key[1] == name}, computed, report)
    return report.issues


def _check_names(content: Mapping[str, Mapping[str, Any]], fields: Mapping[str, WellField], report: Report) -> None:
    for key, entries in content.items():
        if key not in (*OF_VALUES, *OF_CHANGES):
            report.warning(str(key), "is no statistic that readers know")
        for name in entries:
            if name not in fields:
                report.warning(f"{key}/{name}", f"is of no field of the train split, which has {list(fields)}")


def _entries(
    content: Mapping[str, Mapping[str, Any]], fields: Mapping[str, WellField], n_frames: int, report: Report
) -> Entries:
    """Return the valid entries of the statistics that the data have: one frame has no changes."""
    entries: Entries = {}
    for name, field in fields.items():
        for key in statistics_of(field):
            is_needed = key in OF_VALUES or n_frames > 1
            if name in content.get(key, {}):
                values = report.attempt(read_entry, report.path, key, field, content[key][name])
                entries |= {(key, name): values} if values is not None and is_needed else {}
            elif is_needed and key.startswith("rms"):
                report.warning(f"{key}/{name}", f"is missing, which only some readers need: {REPAIR}")
            elif is_needed:
                report.error(f"{key}/{name}", f"is missing: {REPAIR}")
    return entries


def _computed(train: Sequence[WellFile], field: WellField) -> Table | None:
    """Compute the statistics of a field; ``None`` where issues of the files prevent it."""
    if not all(_is_alike(field, file) for file in train):
        return None
    try:
        return compute_statistics(train, [field.name])
    except (ValueError, OSError, RuntimeError):
        return None


def _is_alike(field: WellField, file: WellFile) -> bool:
    """Whether a file has the field with the same components and the same dependence on time."""
    return any(
        (other.name, other.components, other.time_varying) == (field.name, field.components, field.time_varying)
        for other in file.fields
    )


def _compare(entries: Entries, computed: Table, report: Report) -> None:
    for (key, name), values in entries.items():
        location = f"{key}/{name}"
        expected = computed[key][name].view_as(values)
        std = computed["std_delta" if key in OF_CHANGES else "std"][name].view_as(values)
        if ((values - expected).abs() > TOLERANCE * torch.maximum(values.abs(), std)).any():
            report.error(location, f"is {values.tolist()}, but {expected.tolist()} in the train split: {REPAIR}")
        elif key.startswith("std") and (values == 0).any():
            report.warning(location, f"is {values.tolist()}: what is constant in the train split cannot be normalised")
