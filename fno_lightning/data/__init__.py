"""Data sets: what they are, and how their samples reach a module."""

from fno_lightning.data.base import FieldDataModule, Split
from fno_lightning.data.batch import Batch
from fno_lightning.data.batching import collate
from fno_lightning.data.check import Fault, check
from fno_lightning.data.generated import GeneratedDataModule
from fno_lightning.data.hdf5_entry import WellFormatError
from fno_lightning.data.mixed import MixedDataModule
from fno_lightning.data.on_the_fly import OnTheFlyDataModule
from fno_lightning.data.spec import FieldSpec
from fno_lightning.data.statistics import Statistics
from fno_lightning.data.well import WellDataModule
from fno_lightning.data.well_dataset import WellWindows
from fno_lightning.data.well_file import WellFile
from fno_lightning.data.well_metadata import read_well_file
from fno_lightning.data.well_writer import write_well_file

__all__ = [
    "Batch",
    "Fault",
    "FieldDataModule",
    "FieldSpec",
    "GeneratedDataModule",
    "MixedDataModule",
    "OnTheFlyDataModule",
    "Split",
    "Statistics",
    "WellDataModule",
    "WellFile",
    "WellFormatError",
    "WellWindows",
    "check",
    "collate",
    "read_well_file",
    "write_well_file",
]
