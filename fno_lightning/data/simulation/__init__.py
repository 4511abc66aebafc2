"""Data sets that an equation makes: on disk, or sample by sample."""

from fno_lightning.data.simulation.batch import SimulatedFile, SimulationBatch
from fno_lightning.data.simulation.data_set import Simulation, trajectory_seeds
from fno_lightning.data.simulation.fresh import FreshDataset, FreshNumbers, simulate_numbers
from fno_lightning.data.simulation.schema import schema_file
from fno_lightning.data.simulation.tensors import TrajectoryDataset, TrajectoryTensors, tensor_statistics

__all__ = [
    "FreshDataset",
    "FreshNumbers",
    "SimulatedFile",
    "Simulation",
    "SimulationBatch",
    "TrajectoryDataset",
    "TrajectoryTensors",
    "schema_file",
    "simulate_numbers",
    "tensor_statistics",
    "trajectory_seeds",
]
