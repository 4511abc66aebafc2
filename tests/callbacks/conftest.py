import logging

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger


@pytest.fixture
def make_trainer(tmp_path):
    def make(*callbacks, tensorboard=True, **options):
        logger = TensorBoardLogger(tmp_path, name="log", version=0, default_hp_metric=False) if tensorboard else False
        options = {"max_epochs": 1, "num_sanity_val_steps": 0, "log_every_n_steps": 1} | options
        return Trainer(
            accelerator="cpu",
            devices=1,
            logger=logger,
            callbacks=list(callbacks),
            default_root_dir=tmp_path,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **options,
        )

    return make


@pytest.fixture(autouse=True)
def quiet_lightning():
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
