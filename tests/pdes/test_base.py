"""What every equation offers: settings that identify data, other grids, labels, simulations."""

import json
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
import torch

from fno_lightning.pdes import (
    PDE,
    Burgers,
    EulerMultiQuadrantsOpenBC,
    GrayScott,
    NavierStokes,
    ShallowWater,
    ShearFlow,
    Trajectories,
    TurbulentRadiativeLayer2D,
)


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


@dataclass(frozen=True)
class Recording(PDE):
    """Its trajectories are what it was asked for."""

    dataset_name: ClassVar[str] = "recording"
    pairs: object = ((1, 2.0),)
    name: str = "plain"

    schema = OnGrid.schema

    def simulate_batch(self, parameters, seeds, device, report):
        report(0.5)
        assert not torch.is_grad_enabled()
        scalars = {name: torch.tensor(value) for name, value in parameters.items()}
        return Trajectories(torch.zeros(1), {}, {}, scalars, {"seed": torch.tensor(seeds)})


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


@pytest.mark.parametrize("pairs", [[[1, 2.0]], ([1, 2.0],), torch.tensor([[1.0, 2.0]])], ids=str)
def test_lists_become_tuples(pairs):
    pde = Recording(pairs=pairs)
    assert pde == Recording()
    assert hash(pde) == hash(Recording())
    assert pde.name == "plain"


def test_an_equation_defines_its_part_of_a_simulation():
    done = []
    trajectories = Recording().simulate({"speed": 2.0}, range(3, 5), progress=done.append)
    assert trajectories.scalars["speed"] == 2.0
    assert trajectories.scalar_fields["seed"].tolist() == [3, 4]
    assert done == [0.5]
    assert Recording().simulate({}, [3]).scalar_fields["seed"].tolist() == [3]


def test_parameters_and_seeds_have_defaults():
    class Several(Recording):
        parameter_sets = ({"speed": 1.0}, {"speed": 2.0})

    trajectories = Several().simulate(seeds=range(2))
    assert trajectories.scalars["speed"] == 1.0
    assert trajectories.scalar_fields["seed"].tolist() == [0, 1]
    assert Several().simulate().scalar_fields["seed"].tolist() == [0]


def test_every_combination_of_the_values_of_parameters_is_a_set():
    @dataclass(frozen=True)
    class Two(Recording):
        parameter_arguments: ClassVar = {"viscosity": "viscosities", "drag": "drags"}
        viscosities: object = (1.0, 2.0)
        drags: object = 0.5

    assert Two().parameter_sets == [{"viscosity": 1.0, "drag": 0.5}, {"viscosity": 2.0, "drag": 0.5}]
    assert Two(drags=[3, 4]).parameter_sets[1] == {"viscosity": 1.0, "drag": 4}


@pytest.mark.parametrize(
    ("kind", "argument", "value"),
    [
        (Burgers, "viscosities", 0.1),
        (NavierStokes, "viscosities", 1e-3),
        (ShallowWater, "coriolis_parameters", 5.0),
        (ShearFlow, "reynolds", 1e4),
        (ShearFlow, "schmidt", 1.0),
        (GrayScott, "rates", (0.03, 0.062)),
        (EulerMultiQuadrantsOpenBC, "gammas", 1.4),
        (TurbulentRadiativeLayer2D, "cooling_times", 0.1),
    ],
)
def test_one_value_of_a_parameter_means_a_list_of_one(kind, argument, value):
    one, several = kind(**{argument: value}), kind(**{argument: [value]})
    assert one == several
    assert one.settings == several.settings
    assert one.parameter_sets == several.parameter_sets


def test_without_seeds_there_is_nothing_to_simulate():
    with pytest.raises(ValueError, match="seeds is empty"):
        Recording().simulate({}, [])


def test_an_equation_that_defines_no_simulation_says_so():
    class Empty(PDE):
        dataset_name = "empty"
        schema = OnGrid.schema

    with pytest.raises(NotImplementedError, match="Empty must override simulate_batch"):
        Empty().simulate({}, [0])


def test_at_resolution_changes_nothing_else():
    pde = OnGrid(speed=3.0).at_resolution([4, 4])
    assert pde == OnGrid(resolution=(4, 4), speed=3.0)


def test_an_equation_without_grid_has_no_others():
    with pytest.raises(ValueError, match="WithoutGrid has no argument resolution"):
        WithoutGrid().at_resolution([4, 4])


def test_what_is_no_dataclass_must_say_its_settings():
    with pytest.raises(TypeError, match="NoDataclass is not a dataclass"):
        _ = NoDataclass().settings


def test_labels_hold_the_parameters():
    assert OnGrid().label({}) == "on_grid"
    assert OnGrid().label({"viscosity": 1e-4, "drag": 0.5}) == "on_grid_viscosity_0.0001_drag_0.5"
    assert list(OnGrid().parameter_sets) == [{}]
