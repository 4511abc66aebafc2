"""Data modules, and the vocabulary of data: batches, descriptions, windows, statistics."""

from fno_lightning.data.base import FieldDataModule, NotPreparedError
from fno_lightning.data.batch import Batch, Split
from fno_lightning.data.clouds import MeshError, PointCloud, point_positions, point_weight
from fno_lightning.data.generated import GeneratedDataModule
from fno_lightning.data.generated_clouds import GeneratedPointCloudDataModule
from fno_lightning.data.hdf5 import WellFile, WellFormatError, WindowDataset, read_well_file, write_well_file
from fno_lightning.data.loading import SuperBatches, collate
from fno_lightning.data.mesh import MeshDataModule
from fno_lightning.data.mixed import MixedDataModule
from fno_lightning.data.on_the_fly import OnTheFlyDataModule
from fno_lightning.data.point_clouds import CloudDataModule, PointCloudDataModule
from fno_lightning.data.statistics import Statistics
from fno_lightning.data.well import WellDataModule
from fno_lightning.field_spec import FieldSpec

__all__ = [
    "Batch",
    "CloudDataModule",
    "FieldDataModule",
    "FieldSpec",
    "GeneratedDataModule",
    "GeneratedPointCloudDataModule",
    "MeshDataModule",
    "MeshError",
    "MixedDataModule",
    "NotPreparedError",
    "OnTheFlyDataModule",
    "PointCloud",
    "PointCloudDataModule",
    "Split",
    "Statistics",
    "SuperBatches",
    "WellDataModule",
    "WellFile",
    "WellFormatError",
    "WindowDataset",
    "collate",
    "point_positions",
    "point_weight",
    "read_well_file",
    "write_well_file",
]
