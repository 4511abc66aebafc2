"""Point clouds and meshes: samples whose points lie anywhere, and differ in number."""

from fno_lightning.data.clouds.cells import CellError, point_weights
from fno_lightning.data.clouds.channels import point_positions, point_weight
from fno_lightning.data.clouds.cloud import CloudTensors, PointCloud, cloud_spec, cloud_tensors
from fno_lightning.data.clouds.dataset import CloudDataset, cloud_statistics
from fno_lightning.data.clouds.meshes import MeshError, read_mesh

__all__ = [
    "CellError",
    "CloudDataset",
    "CloudTensors",
    "MeshError",
    "PointCloud",
    "cloud_spec",
    "cloud_statistics",
    "cloud_tensors",
    "point_positions",
    "point_weight",
    "point_weights",
    "read_mesh",
]
