"""Checks files and data sets in The Well's format, and lists all that is wrong with them."""

from fno_lightning.data.check.data_set import check_data_set
from fno_lightning.data.check.fault import Fault, Severity
from fno_lightning.data.check.file import check_file
from fno_lightning.data.check.paths import check, files_at

__all__ = ["Fault", "Severity", "check", "check_data_set", "check_file", "files_at"]
