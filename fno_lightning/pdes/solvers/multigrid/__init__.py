"""Multigrid solver of diffusion equations with rough coefficients, by finite volumes."""

from fno_lightning.pdes.solvers.multigrid.conductances import (
    FaceCoefficients,
    face_conductances,
    harmonic_faces,
    net_outflow,
)
from fno_lightning.pdes.solvers.multigrid.cycle import Multigrid
from fno_lightning.pdes.solvers.multigrid.diffusion import DiffusionSolution, solve_diffusion

__all__ = [
    "DiffusionSolution",
    "FaceCoefficients",
    "Multigrid",
    "face_conductances",
    "harmonic_faces",
    "net_outflow",
    "solve_diffusion",
]
