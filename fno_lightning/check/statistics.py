"""Compares a data set's ``stats.yaml`` with the data that it describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fno_lightning.check.findings import Fault, Findings
from fno_lightning.data.hdf5 import WellField, WellFile
from fno_lightning.data.hdf5.statistics import Table, compute_statistics

TOLERANCE = 2e-3
"""Error of an entry relative to itself or the standard deviation, whichever is larger.

The Well writes five digits, computed in various precisions; a mistake that matters is larger than 0.2 %.
"""

OF_VALUES = ("mean", "std", "rms")
OF_CHANGES = ("mean_delta", "std_delta", "rms_delta")
REPAIR = "delete the file, to have the statistics computed again"

Entries = dict[tuple[str, str], np.ndarray]


def check_statistics(path: Path, train: Sequence[WellFile], *, compare: bool = True) -> list[Fault]:
    """Checks the entries, and compares them with the train split.

    Args:
        path: The ``stats.yaml``.
        train: Metadata of the files of the train split.
        compare: Whether these are all of its files.
    """
    findings = Findings(path)
    if not path.exists():
        findings.warning("/", "is missing: fno_lightning computes it on first use, the_well's own reader does not")
        return findings.faults
    content = _read(path, findings)
    if content is None:
        return findings.faults
    fields = {field.name: field for field in train[0].fields}
    _check_names(content, fields, findings)
    entries = _entries(content, fields, min(file.n_frames for file in train), findings)
    if not compare:
        findings.warning("/", "is not compared with the data, as files of the train split cannot be read: correct them")
        return findings.faults
    for name, field in fields.items():
        computed = _computed(train, field)
        if computed is not None:
            _compare({key: entry for key, entry in entries.items() if key[1] == name}, computed, findings)
    return findings.faults


def _read(path: Path, findings: Findings) -> Mapping[str, Mapping[str, Any]] | None:
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        findings.error("/", f"is not YAML ({' '.join(str(error).split())}): {REPAIR}")
        return None
    if not isinstance(content, dict) or not all(isinstance(entries, dict) for entries in content.values()):
        findings.error("/", f"does not list statistics by field: {REPAIR}")
        return None
    return content


def _check_names(content: Mapping[str, Mapping[str, Any]], fields: Mapping[str, WellField], findings: Findings) -> None:
    for key, entries in content.items():
        if key not in (*OF_VALUES, *OF_CHANGES):
            findings.warning(str(key), "is no statistic that readers know")
        for name in entries:
            if name not in fields:
                findings.warning(f"{key}/{name}", f"is of no field of the train split, which has {list(fields)}")


def _entries(
    content: Mapping[str, Mapping[str, Any]], fields: Mapping[str, WellField], n_frames: int, findings: Findings
) -> Entries:
    """Returns the entries that are valid."""
    entries: Entries = {}
    for name, field in fields.items():
        changes = OF_CHANGES if field.time_varying and n_frames > 1 else ()
        for key in (*OF_VALUES, *changes):
            if name in content.get(key, {}):
                values = _values(content[key][name], f"{key}/{name}", field, findings)
                entries |= {} if values is None else {(key, name): values}
            elif key.startswith("rms"):
                findings.warning(f"{key}/{name}", f"is missing, which only some readers need: {REPAIR}")
            else:
                findings.error(f"{key}/{name}", f"is missing: {REPAIR}")
    return entries


def _values(entry: Any, place: str, field: WellField, findings: Findings) -> np.ndarray | None:
    """Returns the values of an entry if they are finite numbers, one for each component."""
    n_dims = round(len(field.components) ** (1 / max(field.order, 1)))
    try:
        values = np.asarray(entry)
    except ValueError:  # lists of different lengths
        values = np.asarray(None)
    is_valid = values.dtype.kind in "fiu" and values.shape == (n_dims,) * field.order and np.isfinite(values).all()
    if not is_valid:
        expected = (
            "one finite number",
            f"a list of {n_dims} finite numbers",
            f"{n_dims} lists of {n_dims} finite numbers",
        )
        findings.error(place, f"is {entry!r}, expected {expected[field.order]}: {REPAIR}")
        return None
    if place.startswith("std") and (values < 0).any():
        findings.error(place, f"is {entry!r}, but no standard deviation is negative: {REPAIR}")
        return None
    return values.astype(np.float64)


def _computed(train: Sequence[WellFile], field: WellField) -> Table | None:
    """Computes the statistics of a field; ``None`` where the faults of the files say why that is not possible."""
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


def _compare(entries: Entries, computed: Table, findings: Findings) -> None:
    for (key, name), values in entries.items():
        place = f"{key}/{name}"
        expected = computed[key][name].numpy().reshape(values.shape)
        suffix = "_delta" if key.endswith("_delta") else ""
        std = computed[f"std{suffix}"][name].numpy().reshape(values.shape)
        if (np.abs(values - expected) > TOLERANCE * np.maximum(np.abs(values), std)).any():
            findings.error(place, f"is {values.tolist()}, but {expected.tolist()} in the train split: {REPAIR}")
        elif key.startswith("std") and (values == 0).any():
            findings.warning(place, f"is {values.tolist()}: what is constant in the train split cannot be normalised")
