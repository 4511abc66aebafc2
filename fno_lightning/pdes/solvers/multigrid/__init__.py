"""Multigrid solver of diffusion equations with rough coefficients, by finite volumes."""

from fno_lightning.pdes.solvers.multigrid.conductances import FaceCoefficients, harmonic_faces
from fno_lightning.pdes.solvers.multigrid.cycle import Multigrid
from fno_lightning.pdes.solvers.multigrid.diffusion import DiffusionSolution, solve_diffusion

__all__ = ["DiffusionSolution", "FaceCoefficients", "Multigrid", "harmonic_faces", "solve_diffusion"]
