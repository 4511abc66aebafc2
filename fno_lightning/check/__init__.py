"""Check files and data sets in The Well's format, and list all issues."""

from fno_lightning.check.data_set import check, check_data_set, files_at
from fno_lightning.check.file import check_file
from fno_lightning.check.report import Issue, Severity
from fno_lightning.check.statistics import check_statistics

__all__ = ["Issue", "Severity", "check", "check_data_set", "check_file", "check_statistics", "files_at"]
