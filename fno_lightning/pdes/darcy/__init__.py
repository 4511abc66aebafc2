"""Darcy flow, and a fast solver of diffusion equations with rough coefficients."""

from fno_lightning.pdes.darcy.conductances import FaceCoefficients, harmonic_faces
from fno_lightning.pdes.darcy.darcy_flow import DarcyFlow
from fno_lightning.pdes.darcy.diffusion import DiffusionSolution, solve_diffusion
from fno_lightning.pdes.darcy.permeability import LogNormal, Permeability, ThresholdedFourier, ThresholdedGaussian

__all__ = [
    "DarcyFlow",
    "DiffusionSolution",
    "FaceCoefficients",
    "LogNormal",
    "Permeability",
    "ThresholdedFourier",
    "ThresholdedGaussian",
    "harmonic_faces",
    "solve_diffusion",
]
