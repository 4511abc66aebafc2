"""Equations and their solvers: tensors in, tensors out."""

from fno_lightning.pdes.base import PDE, Trajectories

__all__ = ["PDE", "Trajectories"]
