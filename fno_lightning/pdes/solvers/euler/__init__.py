"""The compressible Euler equations in two dimensions, by a finite-volume method of second order."""

from fno_lightning.pdes.solvers.euler.boundary import Boundary
from fno_lightning.pdes.solvers.euler.fluxes import face_fluxes, face_states, hllc_flux
from fno_lightning.pdes.solvers.euler.output import frames, require_conserved
from fno_lightning.pdes.solvers.euler.solver import EulerSolver, UnphysicalStateError
from fno_lightning.pdes.solvers.euler.state import Conserved, Primitive, to_conserved, to_primitive

__all__ = [
    "Boundary",
    "Conserved",
    "EulerSolver",
    "Primitive",
    "UnphysicalStateError",
    "face_fluxes",
    "face_states",
    "frames",
    "hllc_flux",
    "require_conserved",
    "to_conserved",
    "to_primitive",
]
