"""What the package promises by its names."""

import importlib
import inspect
import pkgutil
import sys
from importlib import metadata

import pytest
from lightning.pytorch import Callback
from torch import nn

import fno_lightning
from fno_lightning.data import FieldDataModule
from fno_lightning.layers import Basis
from fno_lightning.losses import Loss
from fno_lightning.metrics import FieldMetric
from fno_lightning.modules import ForecastModule
from fno_lightning.pdes import PDE

PACKAGES = ["callbacks", "data", "layers", "losses", "metrics", "models", "modules", "pdes"]
EXTENSION_POINTS = {
    "callbacks": Callback,
    "data": FieldDataModule,
    "layers": Basis,
    "losses": Loss,
    "metrics": FieldMetric,
    "models": nn.Module,
    "modules": ForecastModule,
    "pdes": PDE,
}


def files_of(package):
    return [
        importlib.import_module(found.name) for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]


@pytest.mark.parametrize("name", ["", *PACKAGES])
def test_every_exported_name_exists_and_is_documented(name):
    package = importlib.import_module(f"fno_lightning.{name}".rstrip("."))
    for exported in package.__all__:
        thing = getattr(package, exported)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), exported


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_class_of_a_kind_is_exported(name):
    package = importlib.import_module(f"fno_lightning.{name}")
    defined = {
        thing.__name__
        for file in files_of(package)
        for thing in vars(file).values()
        if inspect.isclass(thing) and issubclass(thing, EXTENSION_POINTS[name]) and thing.__module__ == file.__name__
    }
    public = {thing for thing in defined if not thing.startswith("_")}
    assert public <= set(package.__all__)


def test_the_version_is_that_of_the_distribution():
    assert fno_lightning.__version__ == metadata.version("fno_lightning")


@pytest.mark.parametrize("file", files_of(fno_lightning), ids=lambda file: file.__name__)
def test_no_function_shadows_a_module(file):
    hidden = [name for name in vars(file) if f"{file.__name__}.{name}" in sys.modules]
    assert all(inspect.ismodule(getattr(file, name)) for name in hidden)
    own_name = getattr(file, file.__name__.rpartition(".")[2], None)
    assert getattr(own_name, "__module__", "") != file.__name__
