"""Fields of other formats as data sets in The Well's format."""

from fno_lightning.data.importing.arrays import Arrays
from fno_lightning.data.importing.layout import joined, select, trajectories_of
from fno_lightning.data.importing.sources import read_arrays
from fno_lightning.data.importing.splits import split_trajectories, write_splits

__all__ = ["Arrays", "joined", "read_arrays", "select", "split_trajectories", "trajectories_of", "write_splits"]
