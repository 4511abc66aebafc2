"""Equations and their solvers: tensors in, tensors out."""

from fno_lightning.pdes.base import PDE, Trajectories
from fno_lightning.pdes.cooling import RadiativeCooling
from fno_lightning.pdes.mixing_layer import mixing_layer
from fno_lightning.pdes.turbulent_radiative_layer import TurbulentRadiativeLayer2D

__all__ = ["PDE", "RadiativeCooling", "Trajectories", "TurbulentRadiativeLayer2D", "mixing_layer"]
