"""Transfer-learning study: the data that a pre-trained model saves."""

from fno_lightning.commands.transfer.command import main
from fno_lightning.commands.transfer.report import Result, data_saving
from fno_lightning.commands.transfer.study import TransferStudy

__all__ = ["Result", "TransferStudy", "data_saving", "main"]
