"""Numerical methods that solve the equations."""

from fno_lightning.pdes.solvers.advection import VorticityAdvection, steepening
from fno_lightning.pdes.solvers.budget import Budget, BudgetAccount
from fno_lightning.pdes.solvers.cells import cell_centres, cell_spacing
from fno_lightning.pdes.solvers.cooling import RadiativeCooling
from fno_lightning.pdes.solvers.etdrk4 import ETDRK4, EqualSteps
from fno_lightning.pdes.solvers.euler import EulerSolver
from fno_lightning.pdes.solvers.kirchhoff_transform import (
    BoundaryValues,
    harmonic_extension,
    nonlinear_error,
    nonlinear_residual,
    solve_nonlinear_diffusion,
    values_of_extension,
)
from fno_lightning.pdes.solvers.multigrid import face_conductances, harmonic_faces, net_outflow, solve_diffusion
from fno_lightning.pdes.solvers.periodic_box import PeriodicBox
from fno_lightning.pdes.solvers.rotating_layer import RotatingLayer
from fno_lightning.pdes.solvers.sphere import Sphere

__all__ = [
    "ETDRK4",
    "BoundaryValues",
    "Budget",
    "BudgetAccount",
    "EqualSteps",
    "EulerSolver",
    "PeriodicBox",
    "RadiativeCooling",
    "RotatingLayer",
    "Sphere",
    "VorticityAdvection",
    "cell_centres",
    "cell_spacing",
    "face_conductances",
    "harmonic_extension",
    "harmonic_faces",
    "net_outflow",
    "nonlinear_error",
    "nonlinear_residual",
    "solve_diffusion",
    "solve_nonlinear_diffusion",
    "steepening",
    "values_of_extension",
]
