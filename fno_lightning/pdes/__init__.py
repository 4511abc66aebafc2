"""Equations and their solvers: tensors in, tensors out."""

from fno_lightning.pdes.advection_diffusion import AdvectionDiffusion
from fno_lightning.pdes.base import PDE, Trajectories
from fno_lightning.pdes.burgers import Burgers
from fno_lightning.pdes.compressible import CompressiblePDE
from fno_lightning.pdes.darcy_flow import DarcyFlow
from fno_lightning.pdes.equation import Equation, Residual, TrialSolution
from fno_lightning.pdes.euler_multi_quadrants import (
    EulerMultiQuadrants,
    EulerMultiQuadrantsOpenBC,
    EulerMultiQuadrantsPeriodicBC,
)
from fno_lightning.pdes.evolution import EvolutionPDE, Frame
from fno_lightning.pdes.gray_scott import GrayScott
from fno_lightning.pdes.helmholtz import Helmholtz
from fno_lightning.pdes.inputs import (
    GaussianRandomField,
    GaussianSources,
    LogNormal,
    Permeability,
    ThresholdedFourier,
    ThresholdedGaussian,
    mixing_layer,
)
from fno_lightning.pdes.kuramoto_sivashinsky import KuramotoSivashinsky
from fno_lightning.pdes.linear import LinearPDE
from fno_lightning.pdes.navier_stokes import NavierStokes
from fno_lightning.pdes.nonlinear_poisson import NonlinearPoisson
from fno_lightning.pdes.point_problem import PointProblem, PointSolution
from fno_lightning.pdes.poisson import Poisson
from fno_lightning.pdes.potential_flow import PotentialFlow
from fno_lightning.pdes.pseudo_spectral import PseudoSpectralPDE
from fno_lightning.pdes.shallow_water import ShallowWater
from fno_lightning.pdes.shear_flow import ShearFlow
from fno_lightning.pdes.solvers import Budget, RadiativeCooling, harmonic_faces, solve_diffusion
from fno_lightning.pdes.spherical_shallow_water import SphericalShallowWater
from fno_lightning.pdes.star_shaped_poisson import StarShapedPoisson
from fno_lightning.pdes.steady import SteadyPDE
from fno_lightning.pdes.turbulent_radiative_layer import TurbulentRadiativeLayer2D

__all__ = [
    "PDE",
    "AdvectionDiffusion",
    "Budget",
    "Burgers",
    "CompressiblePDE",
    "DarcyFlow",
    "Equation",
    "EulerMultiQuadrants",
    "EulerMultiQuadrantsOpenBC",
    "EulerMultiQuadrantsPeriodicBC",
    "EvolutionPDE",
    "Frame",
    "GaussianRandomField",
    "GaussianSources",
    "GrayScott",
    "Helmholtz",
    "KuramotoSivashinsky",
    "LinearPDE",
    "LogNormal",
    "NavierStokes",
    "NonlinearPoisson",
    "Permeability",
    "PointProblem",
    "PointSolution",
    "Poisson",
    "PotentialFlow",
    "PseudoSpectralPDE",
    "RadiativeCooling",
    "Residual",
    "ShallowWater",
    "ShearFlow",
    "SphericalShallowWater",
    "StarShapedPoisson",
    "SteadyPDE",
    "ThresholdedFourier",
    "ThresholdedGaussian",
    "Trajectories",
    "TrialSolution",
    "TurbulentRadiativeLayer2D",
    "harmonic_faces",
    "mixing_layer",
    "solve_diffusion",
]
