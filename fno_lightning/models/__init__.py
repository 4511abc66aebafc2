"""Networks: PyTorch modules from ``(batch, channel, *grid)`` to ``(batch, channel, *grid)``, or between points."""

from fno_lightning.models.codano import CODANO
from fno_lightning.models.fno import FNO
from fno_lightning.models.geometry_fno import GeometryFNO
from fno_lightning.models.neuralop import convert_neuralop_state_dict, from_neuralop
from fno_lightning.models.neuralop_networks import NeuralopCODANO, NeuralopFNOGNO, NeuralopGINO, NeuralopSFNO
from fno_lightning.models.uno import UNO
from fno_lightning.models.variants import FFNO, SFNO, TFNO

__all__ = [
    "CODANO",
    "FFNO",
    "FNO",
    "SFNO",
    "TFNO",
    "UNO",
    "GeometryFNO",
    "NeuralopCODANO",
    "NeuralopFNOGNO",
    "NeuralopGINO",
    "NeuralopSFNO",
    "convert_neuralop_state_dict",
    "from_neuralop",
]
