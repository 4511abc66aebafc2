import logging

import pytest


@pytest.fixture
def logs_to_tensorboard():
    return True


@pytest.fixture(autouse=True)
def quiet_lightning():
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
