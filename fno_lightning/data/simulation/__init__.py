"""Data sets that an equation makes: on disk, or sample by sample."""

from fno_lightning.data.simulation.data_set import Simulation
from fno_lightning.data.simulation.fresh import FreshDataset, FreshNumbers, simulate_numbers
from fno_lightning.data.simulation.schema import schema_file
from fno_lightning.data.simulation.tensors import TrajectoryDataset, TrajectoryTensors, tensor_statistics

__all__ = [
    "FreshDataset",
    "FreshNumbers",
    "Simulation",
    "TrajectoryDataset",
    "TrajectoryTensors",
    "schema_file",
    "simulate_numbers",
    "tensor_statistics",
]
