"""Random inputs of the equations: initial states, sources, coefficients."""

from fno_lightning.pdes.inputs.gaussian_sources import GaussianSources
from fno_lightning.pdes.inputs.gray_scott_states import initial_concentrations
from fno_lightning.pdes.inputs.mixing_layers import mixing_layer
from fno_lightning.pdes.inputs.nonlinear_poisson_sources import random_gaussians
from fno_lightning.pdes.inputs.permeability import LogNormal, Permeability, ThresholdedFourier, ThresholdedGaussian
from fno_lightning.pdes.inputs.quadrants import Quadrants
from fno_lightning.pdes.inputs.random_fields import GaussianRandomField, unit_gaussian_field
from fno_lightning.pdes.inputs.shear_layers import ShearLayers

__all__ = [
    "GaussianRandomField",
    "GaussianSources",
    "LogNormal",
    "Permeability",
    "Quadrants",
    "ShearLayers",
    "ThresholdedFourier",
    "ThresholdedGaussian",
    "initial_concentrations",
    "mixing_layer",
    "random_gaussians",
    "unit_gaussian_field",
]
