"""The transfer-learning study: how much data does a pre-trained model save?"""

from fno_lightning.commands.transfer.command import main
from fno_lightning.commands.transfer.report import Result, data_saving
from fno_lightning.commands.transfer.study import TransferStudy

__all__ = ["Result", "TransferStudy", "data_saving", "main"]
