"""Two-dimensional Riemann problems against the exact one-dimensional solution and conserved quantities."""

import json

import pytest
import torch

from fno_lightning.pdes import euler_multi_quadrants
from fno_lightning.pdes.euler_multi_quadrants import EulerMultiQuadrantsOpenBC, EulerMultiQuadrantsPeriodicBC
from fno_lightning.pdes.inputs.quadrants import Pieces, Quadrants
from fno_lightning.pdes.solvers.euler import EulerSolver
from tests.pdes.exact_riemann import exact_riemann

AIR = {"gamma": 1.4}
KINDS = pytest.mark.parametrize("kind", [EulerMultiQuadrantsOpenBC, EulerMultiQuadrantsPeriodicBC])


def small(kind=EulerMultiQuadrantsPeriodicBC, **options):
    return kind(**{"resolution": (16, 16), "gammas": [1.4], "n_frames": 4, "compile": False} | options)


def quadrants(**options):
    options = {
        "interfaces": (2, 4),
        "density": (0.1, 2.0),
        "pressure": (0.1, 2.0),
        "speed": 0.5,
        "periodic": True,
    } | options
    return Quadrants(**options)


@pytest.fixture(scope="module")
def trajectories():
    return small().simulate(AIR, [3, 7])


def fields(trajectories):
    return {**trajectories.scalar_fields, **trajectories.vector_fields}


def test_layout_is_that_of_the_real_data_sets(trajectories):
    assert list(trajectories.scalar_fields) == ["energy", "density", "pressure"]
    assert list(trajectories.vector_fields) == ["momentum"]
    assert trajectories.scalar_fields["energy"].shape == (2, 4, 16, 16)
    assert trajectories.vector_fields["momentum"].shape == (2, 4, 16, 16, 2)
    assert trajectories.boundaries == {"x": ("periodic", "periodic"), "y": ("periodic", "periodic")}
    assert small(EulerMultiQuadrantsOpenBC).schema.boundaries == {"x": ("open", "open"), "y": ("open", "open")}
    torch.testing.assert_close(trajectories.coordinates["y"][[0, -1]], torch.tensor([1 / 32, 31 / 32]))
    torch.testing.assert_close(trajectories.time, 0.015 * torch.arange(4))
    assert trajectories.scalars["gamma"].item() == pytest.approx(1.4)


def test_schema_announces_what_is_simulated(trajectories):
    schema = small().schema
    torch.testing.assert_close(schema.time, trajectories.time)
    for name, field in fields(trajectories).items():
        announced = fields(schema)[name]
        assert (announced.is_meta, *announced.shape) == (True, 1, *field.shape[1:])


def test_labels_are_those_of_the_real_data_sets():
    names = [pde.label(pde.parameter_sets[0]) for pde in (EulerMultiQuadrantsOpenBC(), small())]
    assert names == [
        "euler_multi_quadrants_openBC_gamma_1.13_C3H8_16",
        "euler_multi_quadrants_periodicBC_gamma_1.4_Dry_air_20",
    ]
    assert small().label({"gamma": 1.5}) == "euler_multi_quadrants_periodicBC_gamma_1.5"


@pytest.mark.parametrize("axis", ["x", "y"])
def test_two_pieces_are_a_riemann_problem(axis, monkeypatch):
    """The L1 error of the density is small and falls with first order, as it must at discontinuities."""
    left, right, duration = (1.0, 0.75, 1.0), (0.125, 0.0, 0.1), 0.15
    values = torch.zeros(1, 4, 2, 2, dtype=torch.float64)
    along = 1 if axis == "x" else 2
    for number, (density, velocity, pressure) in enumerate((left, right)):
        for component, value in ((0, density), (along, velocity), (3, pressure)):
            values.select(-2 if axis == "x" else -1, number)[:, component] = value
    pieces = Pieces(torch.tensor([[[0, 0.5, 1], [0, 0.5, 1]]], dtype=torch.float64), values)
    monkeypatch.setattr(Quadrants, "pieces", lambda *_: pieces)

    def l1_error(n_cells):
        shape = (n_cells, 4) if axis == "x" else (4, n_cells)
        pde = small(EulerMultiQuadrantsOpenBC, resolution=shape, n_frames=2, frame_interval=duration)
        result = pde.simulate(AIR, [0])
        density = result.scalar_fields["density"][0, -1].mean(dim=1 if axis == "x" else 0)
        speed = (result.coordinates[axis].double() - 0.5) / duration
        exact = torch.from_numpy(exact_riemann(left, right, 1.4, speed.numpy()))
        return (density - exact[0]).abs().mean()

    coarse, fine = l1_error(100), l1_error(200)
    assert fine < 0.004
    assert fine < 0.65 * coarse


def test_totals_of_a_periodic_square_stay_to_round_off():
    """The frames have single precision, and so have the sums over them; the simulation itself is held to 1e-12."""
    totals = {name: field.double().mean(dim=(2, 3)) for name, field in fields(small().simulate(AIR, [3])).items()}
    for name in ("density", "energy", "momentum"):
        assert (totals[name] - totals[name][:, :1]).abs().max() < 1e-7, name
    assert (totals["pressure"] - totals["pressure"][:, :1]).abs().max() > 1e-3


def test_a_solver_that_loses_mass_is_refused(monkeypatch):
    advance = EulerSolver.advance

    def leaky(self, state, duration):
        state = advance(self, state, duration)
        density = state.density.clone()
        density[1] *= 1 - 1e-11
        return state._replace(density=density)

    monkeypatch.setattr(EulerSolver, "advance", leaky)
    with pytest.raises(FloatingPointError, match=r"seeds \[7\] have changed at time 0.015"):
        small().simulate(AIR, [3, 7])
    assert small(EulerMultiQuadrantsOpenBC).simulate(AIR, [3, 7])


def test_breakdown_names_time_and_seed(monkeypatch):
    pde = small()
    start = pde.initial_state([3, 7], 1.4)
    start.energy[1, 5, 5] = -1.0
    monkeypatch.setattr(euler_multi_quadrants.EulerMultiQuadrants, "initial_state", lambda *_: start)
    with pytest.raises(FloatingPointError, match=r"seeds \[7\] .* before time 0\.015"):
        pde.simulate(AIR, [3, 7])


@KINDS
def test_coarse_cells_are_averages_of_fine_cells(kind):
    coarse, fine = (small(kind, resolution=(n, n)).initial_state([5, 6], 1.4) for n in (10, 30))
    for one, other in zip(coarse, fine, strict=True):
        averages = other.reshape(2, 10, 3, 10, 3).mean(dim=(2, 4))
        torch.testing.assert_close(averages, one, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("periodic", [True, False])
def test_pieces_are_constant_between_random_interfaces(periodic):
    """An interface passes through one cell, which differs from both neighbours; a periodic edge is none."""
    density = quadrants(periodic=periodic, interfaces=(3, 3)).sample([1], (400, 400), 1.4).density[0]
    for along in (density, density.T):
        assert (along.diff(dim=0).abs() > 1e-9).any(dim=1).sum() == 6
        at_edge = (along[0] - along[-1]).abs() > 1e-9
        assert bool(at_edge.any()) is not periodic


def test_states_lie_in_their_ranges():
    density, u, v, pressure = quadrants().pieces(range(50)).values.unbind(dim=1)
    for field, lowest, highest in ((density, 0.1, 2.0), (pressure, 0.1, 2.0), (u, -0.5, 0.5), (v, -0.5, 0.5)):
        assert lowest <= field.amin() < lowest + 0.05
        assert highest - 0.05 < field.amax() <= highest


def test_a_trajectory_depends_on_its_seed_alone(trajectories):
    alone, other = small().simulate(AIR, [7]), small().simulate(AIR, [8])
    for name, field in fields(trajectories).items():
        torch.testing.assert_close(fields(alone)[name][0], field[1], rtol=1e-6, atol=1e-6)
        assert not torch.allclose(fields(other)[name][0], field[1], atol=1e-2)


@KINDS
def test_precisions_agree(kind):
    double, single = (small(kind, precision=precision).simulate(AIR, [3]) for precision in ("float64", "float32"))
    for name, field in fields(double).items():
        torch.testing.assert_close(fields(single)[name], field, rtol=1e-3, atol=1e-3)


def test_no_seeds():
    with pytest.raises(ValueError, match="seeds is empty"):
        small().simulate(AIR, [])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("resolution", (2, 16)),
        ("gammas", ()),
        ("gammas", (1.0,)),
        ("n_frames", 0),
        ("frame_interval", 0.0),
        ("interfaces", (1, 4)),
        ("interfaces", (4, 2)),
        ("density", (0.0, 1.0)),
        ("pressure", (2.0, 1.0)),
        ("speed", float("inf")),
    ],
)
def test_impossible_values_are_named(option, value):
    with pytest.raises(ValueError, match=option):
        small(**{option: value})


def test_settings_identify_the_trajectories():
    assert json.loads(json.dumps(small().settings)) == json.loads(json.dumps(small(compile=True).settings))
    assert small(speed=0.2).settings != small().settings
