"""Networks: plain PyTorch modules from ``(batch, channel, *grid)`` to ``(batch, channel, *grid)``."""

from fno_lightning.models.fno import FNO, TFNO
from fno_lightning.models.neuralop import convert_neuralop_state_dict, from_neuralop

__all__ = ["FNO", "TFNO", "convert_neuralop_state_dict", "from_neuralop"]
