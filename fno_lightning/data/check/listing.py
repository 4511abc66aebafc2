"""Checks that a group holds the data sets that it names, and no others."""

from __future__ import annotations

from collections import Counter

import h5py

from fno_lightning.data.check.attributes import checked_names
from fno_lightning.data.check.findings import Findings
from fno_lightning.data.hdf5_entry import Entry


def checked_listing(group: Entry, findings: Findings) -> list[Entry]:
    """Checks ``field_names``; returns the data sets that it names, or all if it is not readable."""
    names = checked_names(group, "field_names", findings)
    if names is None:
        return [Entry(group.path, child) for child in group.handle.values() if isinstance(child, h5py.Dataset)]
    for name, count in Counter(names).items():
        if count > 1:
            findings.error(group.place, f"names '{name}' {count} times in field_names: name it once")
    for name in group.handle:
        if name not in names:
            findings.error(
                group.place, f"holds '{name}', which field_names {list(names)} does not name: name it, or delete it"
            )
    entries = [findings.attempt(group.dataset, name) for name in dict.fromkeys(names)]
    return [entry for entry in entries if entry is not None]
