"""Checks files and data sets in The Well's format, and lists all that is wrong with them."""

from fno_lightning.check.data_set import check, check_data_set, files_at
from fno_lightning.check.file import check_file
from fno_lightning.check.findings import Fault, Severity

__all__ = ["Fault", "Severity", "check", "check_data_set", "check_file", "files_at"]
