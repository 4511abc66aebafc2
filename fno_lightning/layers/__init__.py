"""Layers of neural operators: channels last, any number of spatial dimensions."""

from fno_lightning.layers.axis_spectral_conv import AxisSpectralConv
from fno_lightning.layers.basis import Basis, RealBasis
from fno_lightning.layers.channel_mlp import ChannelLinear, ChannelMLP, SkipName, SoftGating
from fno_lightning.layers.chebyshev import ChebyshevBasis, ChebyshevPoints, chebyshev_points
from fno_lightning.layers.codomain_attention import CodomainAttention
from fno_lightning.layers.conditioning import ConditioningName, FiLM, SpectralModulation
from fno_lightning.layers.cp_weight import CPWeight
from fno_lightning.layers.fno_block import FNOBlock
from fno_lightning.layers.fourier import FourierBasis, HalfFourierBasis
from fno_lightning.layers.grid import DomainPadding, GridEmbedding, HeightEmbedding
from fno_lightning.layers.half_waves import HalfWaveBasis
from fno_lightning.layers.kept_modes import reduced_modes, restore_modes, spectral_layers
from fno_lightning.layers.legendre import LegendreBasis
from fno_lightning.layers.local import ConvolutionBranch, DifferentialBranch, LocalName, local_branch
from fno_lightning.layers.neighbours import KernelMean, NearestPoints, Neighbours, cell_corners
from fno_lightning.layers.norm import GroupNorm, InstanceNorm, NormName
from fno_lightning.layers.spectral_conv import BASES, BasisName, SpectralConv
from fno_lightning.layers.spectral_weight import DenseWeight, LowRankWeight, SpectralWeight
from fno_lightning.layers.spherical_conv import DegreeWeight, SphericalConv
from fno_lightning.layers.spherical_transform import SphericalTransform
from fno_lightning.layers.tensor_train_weight import TensorTrainWeight
from fno_lightning.layers.transform import SpectralTransform
from fno_lightning.layers.tucker_weight import TuckerWeight

__all__ = [
    "BASES",
    "AxisSpectralConv",
    "Basis",
    "BasisName",
    "CPWeight",
    "ChannelLinear",
    "ChannelMLP",
    "ChebyshevBasis",
    "ChebyshevPoints",
    "CodomainAttention",
    "ConditioningName",
    "ConvolutionBranch",
    "DegreeWeight",
    "DenseWeight",
    "DifferentialBranch",
    "DomainPadding",
    "FNOBlock",
    "FiLM",
    "FourierBasis",
    "GridEmbedding",
    "GroupNorm",
    "HalfFourierBasis",
    "HalfWaveBasis",
    "HeightEmbedding",
    "InstanceNorm",
    "KernelMean",
    "LegendreBasis",
    "LocalName",
    "LowRankWeight",
    "NearestPoints",
    "Neighbours",
    "NormName",
    "RealBasis",
    "SkipName",
    "SoftGating",
    "SpectralConv",
    "SpectralModulation",
    "SpectralTransform",
    "SpectralWeight",
    "SphericalConv",
    "SphericalTransform",
    "TensorTrainWeight",
    "TuckerWeight",
    "cell_corners",
    "chebyshev_points",
    "local_branch",
    "reduced_modes",
    "restore_modes",
    "spectral_layers",
]
