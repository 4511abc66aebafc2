"""The transfer-learning study: how much data does a pre-trained model save?"""

from fno_lightning.transfer.report import data_saving
from fno_lightning.transfer.result import Result
from fno_lightning.transfer.study import TransferStudy

__all__ = ["Result", "TransferStudy", "data_saving"]
