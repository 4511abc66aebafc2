"""The turbulent radiative layer: layout of The Well, reproducible trajectories, clear errors."""

import dataclasses
import json
import logging
import subprocess
import sys

import pytest
import torch
from torch._dynamo.exc import TorchDynamoException

from fno_lightning.pdes import TurbulentRadiativeLayer2D
from fno_lightning.pdes.solvers.euler import solver as compilation
from fno_lightning.pdes.solvers.euler import to_conserved

TCOOL = {"tcool": 0.1}


def small(**options):
    options = {"resolution": (12, 36), "n_frames": 4, "compile": False} | options
    return TurbulentRadiativeLayer2D(**options)


def fields(trajectories):
    return {**trajectories.scalar_fields, **trajectories.vector_fields}


@pytest.fixture(scope="module")
def trajectories():
    return small().simulate(TCOOL, [3, 7])


def test_layout_is_that_of_the_real_data_set(trajectories):
    assert list(trajectories.scalar_fields) == ["density", "pressure"]
    assert list(trajectories.vector_fields) == ["velocity"]
    assert trajectories.scalar_fields["density"].shape == (2, 4, 12, 36)
    assert trajectories.vector_fields["velocity"].shape == (2, 4, 12, 36, 2)
    assert trajectories.boundaries == {"x": ("periodic", "periodic"), "y": ("open", "open")}
    assert list(trajectories.coordinates) == ["x", "y"]
    torch.testing.assert_close(trajectories.coordinates["x"][[0, -1]], torch.tensor([-0.5, 0.5]) * (11 / 12))
    torch.testing.assert_close(trajectories.coordinates["y"][[0, -1]], torch.tensor([-1 + 1 / 24, 2 - 1 / 24]))
    torch.testing.assert_close(trajectories.time, 1.597033 * torch.arange(4))
    assert trajectories.scalars["tcool"].item() == pytest.approx(0.1)
    assert {field.dtype for field in fields(trajectories).values()} == {torch.float32}


def test_schema_announces_what_is_simulated(trajectories):
    schema = small().schema
    assert schema.coordinates.keys() == trajectories.coordinates.keys()
    assert schema.boundaries == trajectories.boundaries
    assert schema.scalars.keys() == trajectories.scalars.keys()
    torch.testing.assert_close(schema.time, trajectories.time)
    for name, field in fields(trajectories).items():
        announced = fields(schema)[name]
        assert announced.is_meta
        assert (1, *field.shape[1:], field.dtype) == (*announced.shape, announced.dtype)


def test_labels_are_those_of_the_real_data_set():
    pde = TurbulentRadiativeLayer2D()
    values = ("0.03", "0.06", "0.10", "0.18", "0.32", "0.56", "1.00", "1.78", "3.16")
    assert [pde.label(parameters) for parameters in pde.parameter_sets] == [
        f"turbulent_radiative_layer_tcool_{value}" for value in values
    ]


def test_first_frame_is_the_initial_state(trajectories):
    start = small().initial_state([3, 7])
    torch.testing.assert_close(trajectories.scalar_fields["density"][:, 0], start.density)
    torch.testing.assert_close(trajectories.vector_fields["velocity"][:, 0, ..., 1], start.velocity_y)
    assert start.density.amax() == pytest.approx(100)
    assert start.density.amin() == pytest.approx(1)
    assert (trajectories.scalar_fields["density"][:, 0, :, :11] > 99).all()
    assert (trajectories.scalar_fields["density"][:, 0, :, 13:] < 2).all()


def test_perturbation_does_not_depend_on_the_resolution():
    """Every third cell of the finer grid has the centre of a coarse cell."""
    coarse = small(resolution=(12, 36)).initial_state([5])
    fine = small(resolution=(36, 108)).initial_state([5])
    for one, other in zip(coarse, fine, strict=True):
        torch.testing.assert_close(other[:, 1::3, 1::3], one)


def test_mixed_gas_cools_and_pressure_falls(trajectories):
    adiabatic = small().simulate({"tcool": 1e6}, [3, 7])
    cooled, kept = (t.scalar_fields["pressure"][:, -1].mean() for t in (trajectories, adiabatic))
    assert cooled < kept - 0.01


def test_a_trajectory_depends_on_its_seed_alone(trajectories):
    alone = small().simulate(TCOOL, [7])
    other = small().simulate(TCOOL, [8])
    for name, field in fields(trajectories).items():
        torch.testing.assert_close(fields(alone)[name][0], field[1], rtol=1e-5, atol=1e-5)
        assert not torch.allclose(fields(other)[name][0], field[1], rtol=1e-2, atol=1e-3)


def test_simulation_is_deterministic(trajectories):
    again = small().simulate(TCOOL, [3, 7])
    for name, field in fields(trajectories).items():
        assert torch.equal(fields(again)[name], field)


def test_precisions_agree(trajectories):
    double = small(precision="float64").simulate(TCOOL, [3, 7])
    for name, field in fields(trajectories).items():
        torch.testing.assert_close(fields(double)[name][:, :3], field[:, :3], rtol=1e-3, atol=1e-3)


@pytest.mark.long
def test_compiled_and_eager_steps_agree():
    """In a process of its own: the type checks of the tests cannot be compiled."""
    script = """
import logging, torch
from fno_lightning.pdes import TurbulentRadiativeLayer2D
fallbacks = []
logger = logging.getLogger("fno_lightning.pdes.solvers.euler.solver")
logger.addFilter(lambda record: fallbacks.append(record.getMessage()))
eager, compiled = (
    TurbulentRadiativeLayer2D((12, 36), n_frames=4, compile=compile).simulate({"tcool": 0.1}, [3, 7])
    for compile in (False, True)
)
assert not fallbacks, fallbacks
for name in ("density", "pressure"):
    torch.testing.assert_close(compiled.scalar_fields[name], eager.scalar_fields[name], rtol=1e-4, atol=1e-4)
torch.testing.assert_close(compiled.vector_fields["velocity"], eager.vector_fields["velocity"], rtol=1e-4, atol=1e-4)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_without_a_compiler_the_step_runs_eagerly_and_says_so_once(trajectories, monkeypatch, caplog):
    def no_compiler(_function, **_options):
        def fail(*_args):
            raise TorchDynamoException("no C++ compiler")

        return fail

    monkeypatch.setattr(torch, "compile", no_compiler)
    compilation._warn_eager.cache_clear()
    with caplog.at_level(logging.WARNING):
        eager = small(compile=True).simulate(TCOOL, [3, 7])
    assert [record.message for record in caplog.records if "eagerly" in record.message] == [caplog.records[0].message]
    assert torch.equal(eager.scalar_fields["density"], trajectories.scalar_fields["density"])


def test_progress_grows_to_one():
    seen = []
    small(n_frames=3).simulate(TCOOL, [0], progress=seen.append)
    assert seen == pytest.approx([1 / 3, 2 / 3, 1])


def test_breakdown_names_time_and_seed(monkeypatch):
    pde = small()
    start = pde.initial_state([3, 7])
    start.pressure[1, 5, 5] = -1.0
    monkeypatch.setattr(TurbulentRadiativeLayer2D, "initial_state", lambda *_: start)
    assert (to_conserved(start, pde.gamma).density > 0).all()
    with pytest.raises(FloatingPointError, match=r"seeds \[7\] .* before time 1\.597"):
        pde.simulate(TCOOL, [3, 7])


def test_no_seeds():
    with pytest.raises(ValueError, match="seeds is empty"):
        small().simulate(TCOOL, [])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("resolution", (2, 36)),
        ("cooling_times", ()),
        ("cooling_times", (0.1, -1.0)),
        ("n_frames", 0),
        ("frame_interval", 0.0),
        ("gamma", 1.0),
        ("density_ratio", 0.5),
        ("layer_width", -0.1),
        ("cooling_width", float("nan")),
        ("shear_velocity", float("inf")),
    ],
)
def test_impossible_values_are_named(option, value):
    with pytest.raises(ValueError, match=rf"{option}\b.* (is|are) .*"):
        small(**{option: value})


def test_settings_identify_the_trajectories():
    pde = small(cooling_times=[0.1, 0.3], frame_interval=0.5)
    json.dumps(pde.settings)
    assert pde.settings == small(cooling_times=(0.1, 0.3), frame_interval=0.5, compile=True).settings
    names = {field.name for field in dataclasses.fields(pde)} - {"compile"}
    assert names < set(pde.settings)
    assert small(shear_velocity=0.2).settings != small().settings
