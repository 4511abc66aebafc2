"""Networks: plain PyTorch modules from ``(batch, channel, *grid)`` to ``(batch, channel, *grid)``."""

from fno_lightning.models.fno import FNO
from fno_lightning.models.neuralop import convert_neuralop_state_dict, from_neuralop
from fno_lightning.models.neuralop_networks import NeuralopCODANO, NeuralopFNOGNO, NeuralopGINO, NeuralopSFNO
from fno_lightning.models.uno import UNO
from fno_lightning.models.variants import FFNO, TFNO

__all__ = [
    "FFNO",
    "FNO",
    "TFNO",
    "UNO",
    "NeuralopCODANO",
    "NeuralopFNOGNO",
    "NeuralopGINO",
    "NeuralopSFNO",
    "convert_neuralop_state_dict",
    "from_neuralop",
]
