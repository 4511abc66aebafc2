"""Checks one file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fno_lightning.check.attributes import checked_text
from fno_lightning.check.boundaries import check_boundaries
from fno_lightning.check.dimensions import check_dimensions
from fno_lightning.check.fields import check_fields, check_scalars
from fno_lightning.check.findings import Fault, Findings
from fno_lightning.check.values import check_values
from fno_lightning.data.hdf5 import WellFormatError, read_well_file
from fno_lightning.data.hdf5.entry import Entry, open_hdf5


def check_file(path: str | Path, report: Callable[[float], None] | None = None) -> list[Fault]:
    """Checks a file in The Well's format, and returns all that is wrong with it.

    Every value is read, some tens of megabytes at a time.

    Args:
        path: The file.
        report: Called with the fraction that is done, from 0 to 1.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    path = Path(path)
    findings = Findings(path)
    findings.attempt(_check_readable, path, findings, report or (lambda _: None))
    if not findings.has_errors:
        findings.attempt(read_well_file, path)  # whatever the reader refuses is an error
    return findings.faults


def _check_readable(path: Path, findings: Findings, report: Callable[[float], None]) -> None:
    try:
        with open_hdf5(path) as root:
            _check_root(root, findings, report)
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError) as error:  # RuntimeError: how h5py reports damaged metadata
        raise WellFormatError(f"cannot be read on ({error}): delete the file, then download or simulate it") from error


def _check_root(root: Entry, findings: Findings, report: Callable[[float], None]) -> None:
    for name in ("dataset_name", "grid_type"):
        checked_text(root, name, findings)
    dimensions = check_dimensions(root, findings)
    check_boundaries(root, dimensions, findings)
    check_scalars(root, dimensions, findings)
    fields = check_fields(root, dimensions, findings)
    check_values(fields, findings, report)
