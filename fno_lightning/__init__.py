"""PyTorch Lightning plug-ins for Fourier neural operators."""

from fno_lightning import callbacks, check, data, layers, losses, metrics, models, modules, multistep, pdes, viz
from fno_lightning.autoregressive import rollout
from fno_lightning.callbacks import ErrorTable, OneStepErrors, ResolutionErrors, RolloutEvaluation
from fno_lightning.data import (
    Batch,
    FieldDataModule,
    FieldSpec,
    GeneratedDataModule,
    MixedDataModule,
    OnTheFlyDataModule,
    Statistics,
    WellDataModule,
    write_well_file,
)
from fno_lightning.models import FFNO, FNO, TFNO, UNO, from_neuralop
from fno_lightning.modules import (
    FFNOModule,
    FNOModule,
    ForecastModule,
    NetworkModule,
    TFNOModule,
    UNOModule,
    WarmupCosine,
)
from fno_lightning.multistep import MultiStepDDPStrategy, MultiStepStrategy
from fno_lightning.version import __version__

__all__ = [
    "FFNO",
    "FNO",
    "TFNO",
    "UNO",
    "Batch",
    "ErrorTable",
    "FFNOModule",
    "FNOModule",
    "FieldDataModule",
    "FieldSpec",
    "ForecastModule",
    "GeneratedDataModule",
    "MixedDataModule",
    "MultiStepDDPStrategy",
    "MultiStepStrategy",
    "NetworkModule",
    "OnTheFlyDataModule",
    "OneStepErrors",
    "ResolutionErrors",
    "RolloutEvaluation",
    "Statistics",
    "TFNOModule",
    "UNOModule",
    "WarmupCosine",
    "WellDataModule",
    "__version__",
    "callbacks",
    "check",
    "data",
    "from_neuralop",
    "layers",
    "losses",
    "metrics",
    "models",
    "modules",
    "multistep",
    "pdes",
    "rollout",
    "viz",
    "write_well_file",
]
