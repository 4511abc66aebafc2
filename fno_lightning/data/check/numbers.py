"""Small data sets of numbers."""

from __future__ import annotations

from fno_lightning.data.check.findings import Findings
from fno_lightning.data.hdf5_entry import Entry


def are_numbers(entry: Entry, findings: Findings) -> bool:
    """Whether a data set holds real numbers."""
    dtype = entry.handle.dtype
    if dtype.kind in "fiub":
        return True
    findings.error(entry.place, f"holds values of type {dtype}, expected real numbers")
    return False
