"""LightningModules that forecast fields."""

from fno_lightning.modules.adapters import LowRankAdapters
from fno_lightning.modules.base import ForecastModule
from fno_lightning.modules.certified_range import CertifiedRange, OffRangeError
from fno_lightning.modules.codano import CODANOModule
from fno_lightning.modules.ensemble import EnsembleNetwork
from fno_lightning.modules.error_quantile import ErrorQuantileModule
from fno_lightning.modules.fno import FFNOModule, FNOModule, TFNOModule
from fno_lightning.modules.forecast_distribution import ForecastDistribution
from fno_lightning.modules.geometry_fno import GeometryFNOModule
from fno_lightning.modules.muon import MuonAdamW
from fno_lightning.modules.network import NetworkModule
from fno_lightning.modules.normalization import Normalizer, ZScore
from fno_lightning.modules.optimizers import WarmupCosine
from fno_lightning.modules.patching import MultigridPatching
from fno_lightning.modules.point_forecast import PointForecastModule
from fno_lightning.modules.sfno import SFNOModule
from fno_lightning.modules.spectral import SpectralModule
from fno_lightning.modules.uno import UNOModule

__all__ = [
    "CODANOModule",
    "CertifiedRange",
    "EnsembleNetwork",
    "ErrorQuantileModule",
    "FFNOModule",
    "FNOModule",
    "ForecastDistribution",
    "ForecastModule",
    "GeometryFNOModule",
    "LowRankAdapters",
    "MultigridPatching",
    "MuonAdamW",
    "NetworkModule",
    "Normalizer",
    "OffRangeError",
    "PointForecastModule",
    "SFNOModule",
    "SpectralModule",
    "TFNOModule",
    "UNOModule",
    "WarmupCosine",
    "ZScore",
]
