"""Data sets: what they are, and how their samples reach a module."""

from fno_lightning.data.batch import Batch
from fno_lightning.data.spec import FieldSpec
from fno_lightning.data.statistics import Statistics

__all__ = ["Batch", "FieldSpec", "Statistics"]
