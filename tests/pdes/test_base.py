"""What every equation offers: settings that identify data, other grids, names of files."""

import json
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from fno_lightning.pdes import PDE


@dataclass(frozen=True)
class OnGrid(PDE):
    dataset_name: ClassVar[str] = "on_grid"

    resolution: tuple[int, ...] = (8, 16)
    speed: float = 2.0
    derived: float = field(default=1.0, init=False)

    @property
    def schema(self):
        raise NotImplementedError

    def simulate(self, parameters, seeds, *, device="cpu", progress=None):
        raise NotImplementedError


@dataclass(frozen=True)
class WithoutGrid(PDE):
    dataset_name: ClassVar[str] = "without_grid"
    speed: float = 2.0

    schema = OnGrid.schema
    simulate = OnGrid.simulate


class NoDataclass(PDE):
    dataset_name = "none"
    schema = OnGrid.schema
    simulate = OnGrid.simulate


def test_settings_are_the_arguments_and_the_solver():
    settings = OnGrid(speed=3.0).settings
    assert settings["speed"] == 3.0
    assert settings["solver"] == "version 1"
    assert json.loads(json.dumps(settings))["resolution"] == [8, 16]
    assert settings != OnGrid().settings


def test_another_solver_makes_other_data():
    class Better(OnGrid):
        solver = "version 2"

    assert Better().settings != OnGrid().settings


def test_at_resolution_changes_nothing_else():
    pde = OnGrid(speed=3.0).at_resolution([4, 4])
    assert pde == OnGrid(resolution=(4, 4), speed=3.0)


def test_an_equation_without_grid_has_no_others():
    with pytest.raises(ValueError, match="WithoutGrid has no argument resolution"):
        WithoutGrid().at_resolution([4, 4])


def test_what_is_no_dataclass_must_say_its_settings():
    with pytest.raises(TypeError, match="NoDataclass is not a dataclass"):
        _ = NoDataclass().settings


def test_files_are_named_after_their_parameters():
    assert OnGrid().file_name({}) == "on_grid.hdf5"
    assert OnGrid().file_name({"viscosity": 1e-4, "drag": 0.5}) == "on_grid_viscosity_0.0001_drag_0.5.hdf5"
    assert list(OnGrid().parameter_sets) == [{}]
