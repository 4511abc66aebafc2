"""The Well's HDF5 format: metadata, windows, statistics, writing, download."""

from fno_lightning.data.hdf5.dataset import WindowDataset
from fno_lightning.data.hdf5.download import download_well
from fno_lightning.data.hdf5.entry import WellFormatError
from fno_lightning.data.hdf5.file import WellField, WellFile, file_spec, matching_stride
from fno_lightning.data.hdf5.metadata import read_well_file
from fno_lightning.data.hdf5.reader import WellReader
from fno_lightning.data.hdf5.resampling import Resampling, uniform_resampling
from fno_lightning.data.hdf5.split import (
    UnevenTime,
    is_data_file,
    long_trajectories,
    read_split,
    require_one_time_step,
    selected_components,
    split_files,
)
from fno_lightning.data.hdf5.statistics import load_statistics
from fno_lightning.data.hdf5.writer import trajectory_bytes, write_well_file

__all__ = [
    "Resampling",
    "UnevenTime",
    "WellField",
    "WellFile",
    "WellFormatError",
    "WellReader",
    "WindowDataset",
    "download_well",
    "file_spec",
    "is_data_file",
    "load_statistics",
    "long_trajectories",
    "matching_stride",
    "read_split",
    "read_well_file",
    "require_one_time_step",
    "selected_components",
    "split_files",
    "trajectory_bytes",
    "uniform_resampling",
    "write_well_file",
]
