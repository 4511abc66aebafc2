"""Check one file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fno_lightning.check.attributes import checked_text
from fno_lightning.check.domain import check_boundaries, check_dimensions
from fno_lightning.check.fields import check_fields, check_scalars
from fno_lightning.check.periods import check_repeated_points
from fno_lightning.check.report import Issue, Report
from fno_lightning.check.values import check_values
from fno_lightning.data.hdf5 import read_well_file
from fno_lightning.data.hdf5.entry import Entry
from fno_lightning.data.hdf5.opening import open_for_metadata


def check_file(path: str | Path, progress: Callable[[float], None] | None = None) -> list[Issue]:
    """Check a file in The Well's format, and return all issues.

    Every value is read, some tens of megabytes at a time.

    Args:
        path: The file.
        progress: Called with the fraction that is done, from 0 to 1.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    path = Path(path)
    report = Report(path)
    report.attempt(_check_readable, path, report, progress or (lambda _: None))
    if not report.has_errors:
        report.attempt(read_well_file, path)  # whatever the reader refuses is an error
    return report.issues


def _check_readable(path: Path, report: Report, progress: Callable[[float], None]) -> None:
    with open_for_metadata(path) as root:
        _check_root(root, report, progress)


def _check_root(root: Entry, report: Report, progress: Callable[[float], None]) -> None:
    for name in ("dataset_name", "grid_type"):
        checked_text(root, name, report)
    dimensions = check_dimensions(root, report)
    check_boundaries(root, dimensions, report)
    check_scalars(root, dimensions, report)
    fields = check_fields(root, dimensions, report)
    check_values(fields, report, progress)
    if not report.has_errors:
        check_repeated_points(root, dimensions, fields, report)
