"""The examples in docstrings."""

import doctest
import inspect
from importlib import import_module

import pytest

from fno_lightning.metrics import pointwise, spectral

MODULES = [
    "fno_lightning.autoregressive",
    "fno_lightning.metrics.log_name",
    "fno_lightning.metrics.pointwise",
    "fno_lightning.metrics.spectral",
]
FUNCTIONS = [getattr(pointwise, name) for name in ("mae", "rmse", "nrmse", "vrmse", "l_infinity", "pearson")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_show(name):
    found = doctest.testmod(import_module(name))
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("function", [*FUNCTIONS, spectral.spectral_error, spectral.shell_power])
def test_every_error_has_an_example(function):
    assert ">>> " in inspect.getdoc(function)
