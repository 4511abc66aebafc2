"""LightningModules that forecast fields."""

from fno_lightning.modules.base import ForecastModule
from fno_lightning.modules.codano import CODANOModule
from fno_lightning.modules.fno import FFNOModule, FNOModule, TFNOModule
from fno_lightning.modules.muon import MuonAdamW
from fno_lightning.modules.network import NetworkModule
from fno_lightning.modules.normalization import Normalizer, ZScore
from fno_lightning.modules.optimizers import WarmupCosine
from fno_lightning.modules.patching import MultigridPatching
from fno_lightning.modules.sfno import SFNOModule
from fno_lightning.modules.uno import UNOModule

__all__ = [
    "CODANOModule",
    "FFNOModule",
    "FNOModule",
    "ForecastModule",
    "MultigridPatching",
    "MuonAdamW",
    "NetworkModule",
    "Normalizer",
    "SFNOModule",
    "TFNOModule",
    "UNOModule",
    "WarmupCosine",
    "ZScore",
]
