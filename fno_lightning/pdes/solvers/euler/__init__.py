"""The compressible Euler equations in two dimensions, by a finite-volume method of second order."""

from fno_lightning.pdes.solvers.euler.boundary import Boundary
from fno_lightning.pdes.solvers.euler.conservation import require_conserved
from fno_lightning.pdes.solvers.euler.output import frames
from fno_lightning.pdes.solvers.euler.solver import EulerSolver, UnphysicalStateError
from fno_lightning.pdes.solvers.euler.state import Conserved, Primitive, to_conserved, to_primitive

__all__ = [
    "Boundary",
    "Conserved",
    "EulerSolver",
    "Primitive",
    "UnphysicalStateError",
    "frames",
    "require_conserved",
    "to_conserved",
    "to_primitive",
]
