"""Darcy flow: families of permeabilities, layout, reproducible samples, clear errors."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from scipy.sparse.linalg import spsolve

from fno_lightning.pdes.darcy_flow import DarcyFlow
from fno_lightning.pdes.inputs.permeability import LogNormal, Permeability, ThresholdedFourier, ThresholdedGaussian

FAMILIES = [ThresholdedGaussian(), LogNormal(), LogNormal(sigma=2.0), ThresholdedFourier()]


@dataclasses.dataclass(frozen=True)
class Uniform(Permeability):
    """A family of a user's own."""

    value: float = 2.0

    def sample(self, seeds, coordinates):
        x, y = coordinates
        return self.value + 0 * (x[:, None] + y).expand(len(seeds), -1, -1)


def centres(n):
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


def direct(k, source):
    """Solves one sample with matrices that are products of difference matrices and means of 1 / k."""
    n_x, n_y = k.shape
    rows = []
    for axis, n in enumerate((n_x, n_y)):
        resistance = np.pad(1 / k, [(1, 1) if a == axis else (0, 0) for a in (0, 1)])  # none beyond the boundary
        lower, upper = (np.take(resistance, range(start, start + n + 1), axis) for start in (0, 1))
        difference = sparse.diags_array([np.ones(n), -np.ones(n)], offsets=[0, -1], shape=(n + 1, n)) * n
        factors = [sparse.eye_array(n_x), sparse.eye_array(n_y)]
        factors[axis] = difference
        gradient = sparse.kron(*factors)
        rows.append(gradient.T @ sparse.diags_array(2 / (lower + upper).ravel()) @ gradient)
    return spsolve((rows[0] + rows[1]).tocsc(), np.full(n_x * n_y, source)).reshape(n_x, n_y)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
@pytest.mark.parametrize("resolution", [(32, 32), (19, 37)])
def test_agrees_with_a_sparse_direct_solve(family, resolution):
    solution = DarcyFlow(resolution, permeability=family, source=3.0).solve([4, 5], "cpu")
    for k, p in zip(solution.constant_fields["permeability"].numpy(), solution.solution.numpy(), strict=True):
        expected = direct(k, 3.0)
        assert np.abs(p - expected).max() < 1e-7 * np.abs(expected).max()
    assert (solution.residual < 1.1e-8).all()


def test_layout():
    samples = DarcyFlow((12, 10)).simulate({}, [3, 7, 9])
    assert samples.scalar_fields["pressure"].shape == (3, 1, 12, 10)
    assert samples.constant_fields["permeability"].shape == (3, 12, 10)
    assert not samples.scalars
    assert not samples.vector_fields
    assert samples.boundaries == {"x": ("wall", "wall"), "y": ("wall", "wall")}
    torch.testing.assert_close(samples.coordinates["y"][[0, -1]], torch.tensor([0.05, 0.95]))
    assert samples.scalar_fields["pressure"].dtype == samples.constant_fields["permeability"].dtype == torch.float32


def test_schema_announces_what_is_simulated():
    pde = DarcyFlow((12, 10))
    samples, schema = pde.simulate({}, [0]), pde.schema
    assert schema.scalar_fields["pressure"].shape == samples.scalar_fields["pressure"].shape
    assert schema.constant_fields["permeability"].shape == samples.constant_fields["permeability"].shape
    assert schema.boundaries == samples.boundaries
    torch.testing.assert_close(schema.coordinates["x"], samples.coordinates["x"])


@pytest.mark.parametrize("family", [ThresholdedGaussian(), ThresholdedFourier()], ids=repr)
def test_two_rocks_are_the_same_on_every_grid_but_at_their_interface(family):
    coarse, fine = (family.sample(range(4), (centres(n), centres(n))) for n in (32, 64))
    assert set(coarse.unique().tolist()) == {family.low, family.high}
    around = fine.view(4, 32, 2, 32, 2)
    inside = (around == around[:, :, :1, :, :1]).all(dim=(2, 4))
    agreement = (coarse == around[:, :, 0, :, 0])[inside].double().mean()
    assert inside.double().mean() > 0.75
    assert agreement > 0.999


def test_log_normal_permeability_is_the_same_function_on_every_grid_that_resolves_it():
    """Every third cell of the finer grid has the centre of a coarse cell; 65 cells resolve all frequencies."""
    errors = []
    for n in (16, 32, 65):
        coarse, fine = (LogNormal().sample([5], (centres(m), centres(m))).log() for m in (n, 3 * n))
        errors.append((coarse - fine[:, 1::3, 1::3]).square().mean().sqrt().item())
    assert 0.1 > errors[0] > 1.5 * errors[1]
    assert errors[2] < 1e-12


def test_log_normal_permeability_has_the_asked_for_spread():
    k = LogNormal(sigma=0.5, median=7.0).sample(range(400), (centres(24), centres(24)))
    assert (k / 7).log().square().mean().sqrt().item() == pytest.approx(0.5, rel=0.05)
    assert (k / 7).log().mean().item() == pytest.approx(0, abs=1e-3)


def test_fourier_sum_is_that_of_the_reference():
    """Written out term by term, for one sample at a few points."""
    family = ThresholdedFourier(n_frequencies=3)
    amplitudes = np.random.default_rng(8).uniform(-1, 1, (2, 2, 3, 3))
    k = family.sample([8], (centres(11), centres(7)))
    waves = (lambda i, t: np.sin(2 * np.pi * i * t), lambda i, t: np.cos(2 * np.pi * i * t))
    for ix, iy in ((0, 0), (3, 5), (10, 6), (7, 2)):
        x, y = (ix + 0.5) / 11, (iy + 0.5) / 7
        terms = np.ndindex(2, 2, 3, 3)
        total = sum(amplitudes[p, q, i, j] * waves[p](i, x) * waves[q](j, y) for p, q, i, j in terms)
        assert k[0, ix, iy] == (2.0 if total >= 0 else 0.5)


def test_pressure_does_not_depend_on_the_grid():
    coarse, fine = (DarcyFlow((n, n), permeability=LogNormal()).solve([2], "cpu").solution for n in (65, 195))
    error = (coarse - fine[:, 1::3, 1::3]).norm() / coarse.norm()
    assert error < 2e-3


def test_a_sample_depends_on_its_seed_alone():
    pde = DarcyFlow((24, 24))
    together, alone = pde.simulate({}, [3, 4, 7]), pde.simulate({}, [7])
    torch.testing.assert_close(together.scalar_fields["pressure"][2:], alone.scalar_fields["pressure"])
    assert torch.equal(together.constant_fields["permeability"][2:], alone.constant_fields["permeability"])
    assert not torch.equal(together.constant_fields["permeability"][0], together.constant_fields["permeability"][1])


def test_pressure_is_positive_and_proportional_to_the_source():
    one, three = (DarcyFlow((16, 16), source=f).simulate({}, [0]).scalar_fields["pressure"] for f in (1.0, 3.0))
    assert (one > 0).all()
    torch.testing.assert_close(three, 3 * one)


def test_unsolved_samples_are_refused_by_name(monkeypatch):
    monkeypatch.setattr(DarcyFlow, "max_iterations", 3)
    with pytest.raises(FloatingPointError, match=r"DarcyFlow is not solved for seeds \[5, 8\]"):
        DarcyFlow((32, 32)).simulate({}, [5, 8])


def test_only_the_unsolved_samples_are_named(monkeypatch):
    """The first permeability is uniform, which takes fewer iterations."""
    family = ThresholdedGaussian(high=1e4, low=1.0)
    drawn = family.sample([0, 1], (centres(32), centres(32)))
    drawn[0] = 1.0
    monkeypatch.setattr(ThresholdedGaussian, "sample", lambda *_: drawn)
    monkeypatch.setattr(DarcyFlow, "max_iterations", 8)
    with pytest.raises(FloatingPointError, match=r"seeds \[1\]: "):
        DarcyFlow((32, 32)).simulate({}, [0, 1])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0, 1e-60])
def test_an_impossible_permeability_is_refused_by_name(monkeypatch, value):
    drawn = torch.ones(3, 8, 8, dtype=torch.float64)
    drawn[1, 3, 3] = value
    monkeypatch.setattr(ThresholdedGaussian, "sample", lambda *_: drawn)
    with pytest.raises(FloatingPointError, match=r"seeds \[6\]: "):
        DarcyFlow((8, 8)).simulate({}, [5, 6, 7])


def test_a_family_of_ones_own():
    samples = DarcyFlow((8, 8), permeability=Uniform(5.0)).simulate({}, [0, 1])
    assert (samples.constant_fields["permeability"] == 5).all()


def test_settings_identify_the_samples():
    pde = DarcyFlow((16, 16))
    assert json.loads(json.dumps(pde.settings))["permeability"] == {
        "class": "fno_lightning.pdes.ThresholdedGaussian",
        "high": 12.0,
        "low": 3.0,
        "smoothness": 2.0,
        "inverse_length": 3.0,
    }
    assert DarcyFlow((16, 16), permeability=ThresholdedGaussian()).settings == pde.settings
    others = [*FAMILIES[1:], ThresholdedGaussian(high=4.0), Uniform()]
    settings = [json.dumps(DarcyFlow((16, 16), permeability=family).settings) for family in others]
    assert len({*settings, json.dumps(pde.settings), json.dumps(DarcyFlow((16, 16), source=2.0).settings)}) == 7
    assert pde.at_resolution((8, 9)) == DarcyFlow((8, 9))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: DarcyFlow((3, 8)), "resolution"),
        (lambda: DarcyFlow((8, 8), source=0.0), "source"),
        (lambda: ThresholdedGaussian(high=-1.0), "high"),
        (lambda: ThresholdedGaussian(low=0.0), "low"),
        (lambda: ThresholdedGaussian(smoothness=1.0), "smoothness"),
        (lambda: LogNormal(sigma=float("nan")), "sigma"),
        (lambda: LogNormal(inverse_length=0.0), "inverse_length"),
        (lambda: ThresholdedFourier(n_frequencies=0), "n_frequencies"),
    ],
)
def test_impossible_values_are_named(make, name):
    with pytest.raises(ValueError, match=rf"{name} is "):
        make()
