"""PyTorch Lightning plug-ins for Fourier neural operators."""

from fno_lightning.autoregressive import rollout
from fno_lightning.callbacks import ErrorTable, OneStepErrors, ResolutionErrors, RolloutEvaluation
from fno_lightning.data import (
    Batch,
    FieldDataModule,
    FieldSpec,
    GeneratedDataModule,
    MixedDataModule,
    OnTheFlyDataModule,
    WellDataModule,
)
from fno_lightning.models import FNO, TFNO, from_neuralop
from fno_lightning.modules import FNOModule, ForecastModule, NetworkModule, TFNOModule
from fno_lightning.version import __version__

__all__ = [
    "FNO",
    "TFNO",
    "Batch",
    "ErrorTable",
    "FNOModule",
    "FieldDataModule",
    "FieldSpec",
    "ForecastModule",
    "GeneratedDataModule",
    "MixedDataModule",
    "NetworkModule",
    "OnTheFlyDataModule",
    "OneStepErrors",
    "ResolutionErrors",
    "RolloutEvaluation",
    "TFNOModule",
    "WellDataModule",
    "__version__",
    "from_neuralop",
    "rollout",
]
