import sys
from types import ModuleType

import pytest

from fno_lightning.class_path import current_path, public_path
from fno_lightning.data.simulation.data_set import Simulation
from fno_lightning.modules import FNOModule, ForecastModule
from fno_lightning.pdes import Burgers, DarcyFlow, ThresholdedGaussian
from fno_lightning.pdes.darcy_flow import DarcyFlow as SameDarcyFlow


class Outer:
    class Inner: ...


def test_the_shortest_public_path_is_written():
    assert public_path(DarcyFlow) == "fno_lightning.pdes.DarcyFlow"
    assert public_path(FNOModule) == "fno_lightning.FNOModule"


@pytest.mark.parametrize("cls", [Outer, Outer.Inner])
def test_a_class_that_no_package_exports_keeps_its_path(cls):
    assert public_path(cls) == f"{__name__}.{cls.__qualname__}"


def test_another_class_of_the_same_name_is_not_meant(monkeypatch):
    package = ModuleType("package")
    package.DarcyFlow = DarcyFlow
    own = type("DarcyFlow", (), {"__module__": "package.equations"})
    monkeypatch.setitem(sys.modules, "package", package)
    assert public_path(own) == "package.equations.DarcyFlow"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("fno_lightning.pdes.darcy_flow.DarcyFlow", "fno_lightning.pdes.DarcyFlow"),
        ("fno_lightning.a_file_that_was_moved.FNOModule", "fno_lightning.FNOModule"),
        ("fno_lightning.modules.FNOModule", "fno_lightning.FNOModule"),
        ("not_imported.Thing", "not_imported.Thing"),
        ("Thing", "Thing"),
    ],
)
def test_an_old_path_leads_to_the_public_one(old, new):
    assert current_path(old) == new


def test_a_path_from_a_file_imports_nothing():
    sys.modules.pop("this", None)
    current_path("this.is.Code")
    assert "this" not in sys.modules


@pytest.mark.parametrize("pde", [Burgers(), SameDarcyFlow((8, 8))])
def test_a_moved_equation_keeps_the_key_of_its_data(pde, monkeypatch):
    simulation = Simulation(pde, {"train": 1}, seed=0)
    before = simulation.key
    for moved in (type(pde), ThresholdedGaussian):
        monkeypatch.setattr(moved, "__module__", f"{moved.__module__}_moved")
    assert simulation.key == before


def test_a_moved_module_keeps_its_checkpoints(make_data, make_trainer, tmp_path, monkeypatch):
    data = make_data()
    trainer = make_trainer()
    trainer.fit(FNOModule(data.spec, n_modes=(4,), hidden_channels=4, n_layers=1, n_steps_input=2), data)
    monkeypatch.setattr(FNOModule, "__module__", "fno_lightning.modules.elsewhere")
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    assert type(ForecastModule.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)) is FNOModule
