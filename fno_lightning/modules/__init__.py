"""LightningModules that forecast fields."""

from fno_lightning.modules.base import ForecastModule
from fno_lightning.modules.fno import FNOModule
from fno_lightning.modules.network import NetworkModule
from fno_lightning.modules.normalization import ZScore
from fno_lightning.modules.normalizer import Normalizer
from fno_lightning.modules.schedules import WarmupCosine
from fno_lightning.modules.tfno import TFNOModule

__all__ = ["FNOModule", "ForecastModule", "NetworkModule", "Normalizer", "TFNOModule", "WarmupCosine", "ZScore"]
