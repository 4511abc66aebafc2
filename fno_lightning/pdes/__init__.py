"""Equations and their solvers: tensors in, tensors out."""

from fno_lightning.pdes.advection_diffusion import AdvectionDiffusion
from fno_lightning.pdes.base import PDE, Trajectories
from fno_lightning.pdes.cooling import RadiativeCooling
from fno_lightning.pdes.evolution import SpectralEvolution
from fno_lightning.pdes.gaussian_sources import GaussianSources
from fno_lightning.pdes.helmholtz import Helmholtz
from fno_lightning.pdes.linear_problem import LinearProblem
from fno_lightning.pdes.mixing_layer import mixing_layer
from fno_lightning.pdes.poisson import Poisson
from fno_lightning.pdes.random_fields import GaussianRandomField
from fno_lightning.pdes.steady import SteadyProblem
from fno_lightning.pdes.turbulent_radiative_layer import TurbulentRadiativeLayer2D

__all__ = [
    "PDE",
    "AdvectionDiffusion",
    "GaussianRandomField",
    "GaussianSources",
    "Helmholtz",
    "LinearProblem",
    "Poisson",
    "RadiativeCooling",
    "SpectralEvolution",
    "SteadyProblem",
    "Trajectories",
    "TurbulentRadiativeLayer2D",
    "mixing_layer",
]
