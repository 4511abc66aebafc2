"""LightningModules that forecast fields."""

from fno_lightning.modules.base import ForecastModule
from fno_lightning.modules.fno import FFNOModule, FNOModule, TFNOModule
from fno_lightning.modules.geometry_fno import GeometryFNOModule
from fno_lightning.modules.muon import MuonAdamW
from fno_lightning.modules.network import NetworkModule
from fno_lightning.modules.normalization import Normalizer, ZScore
from fno_lightning.modules.optimizers import WarmupCosine
from fno_lightning.modules.patching import MultigridPatching
from fno_lightning.modules.point_forecast import PointForecastModule
from fno_lightning.modules.uno import UNOModule

__all__ = [
    "FFNOModule",
    "FNOModule",
    "ForecastModule",
    "GeometryFNOModule",
    "MultigridPatching",
    "MuonAdamW",
    "NetworkModule",
    "Normalizer",
    "PointForecastModule",
    "TFNOModule",
    "UNOModule",
    "WarmupCosine",
    "ZScore",
]
