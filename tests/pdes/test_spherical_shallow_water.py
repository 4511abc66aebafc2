"""Shallow water on the sphere against steady flows, exact balance and conserved quantities."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from fno_lightning.check import check_file
from fno_lightning.data import write_well_file
from fno_lightning.layers import HalfFourierBasis, LegendreBasis, SphericalTransform
from fno_lightning.pdes import SphericalShallowWater
from fno_lightning.pdes.solvers import ETDRK4, RotatingLayer, Sphere
from fno_lightning.pdes.spherical_shallow_water import GRAVITY, METRES_PER_SECOND, RADIUS, ROTATION
from fno_lightning.sphere import colatitudes


def small(**options):
    options = {"resolution": (24, 48), "n_frames": 3, "degree": 4, "warm_up": 2.0} | options
    return SphericalShallowWater(**options)


def advanced(layer, state, hours, dt):
    nothing = torch.zeros(layer.sphere.truncation + 1, 1, dtype=torch.float64)
    stepper = ETDRK4(nothing, layer.rate, dt)
    for _ in range(round(hours / dt)):
        state = stepper.step(state)
    return state


def random_spectrum(sphere, seed=0):
    n = sphere.truncation + 1
    spectrum = torch.randn(2, n, n, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed)).tril()
    spectrum[..., 0] = spectrum[..., 0].real.to(spectrum)
    spectrum[:, 0] = 0
    return spectrum


def test_curl_and_divergence_are_the_inverse_of_the_wind():
    sphere = Sphere(10)
    vorticity, divergence = random_spectrum(sphere)
    torch.testing.assert_close(sphere.analysis(sphere.synthesis(vorticity)), vorticity, rtol=0, atol=1e-12)
    found = sphere.curl_and_divergence(*sphere.wind(vorticity, divergence))
    for part, expected in zip(found, (vorticity, divergence), strict=True):
        torch.testing.assert_close(part, expected, rtol=0, atol=1e-12)


def test_parseval():
    sphere = Sphere(10)
    spectrum = random_spectrum(sphere)
    expected = sphere.mean(sphere.synthesis(spectrum).square())
    torch.testing.assert_close(sphere.mean_square(spectrum).sum(dim=-1), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("tilt", [0.0, 0.7, math.pi / 2 - 0.05])
def test_zonal_flow_is_steady_about_any_axis(tilt):
    """Williamson et al. 1992, test case 2: flow about an axis that is that of the rotation, and not of the grid."""
    sphere = Sphere(21)
    angle = sphere.height.acos()
    longitude = torch.arange(sphere.grid[1], dtype=torch.float64) * (2 * math.pi / sphere.grid[1])
    height = -longitude.cos() * angle.sin() * math.sin(tilt) + angle.cos() * math.cos(tilt)
    layer = RotatingLayer(sphere, 2 * ROTATION * height)
    turn = 2 * math.pi / (12 * 24)
    rest = 2.94e4 * METRES_PER_SECOND**2
    state = layer.balanced(sphere.analysis(2 * turn * height)[None])
    exact = -(ROTATION * turn + turn**2 / 2) * height**2
    exact = exact - sphere.mean(exact)
    torch.testing.assert_close(sphere.synthesis(state[:, 2])[0], exact, rtol=0, atol=1e-12)
    state[:, 2, 0, 0] = rest
    later = advanced(layer, state, hours=24, dt=1 / 3)
    torch.testing.assert_close(later, state, rtol=0, atol=1e-11)


def jet(latitude):
    """Eastward speed of Galewsky et al. 2004, eq. 2, in radii / h."""
    south, north = math.pi / 7, math.pi / 2 - math.pi / 7
    if not south < latitude < north:
        return 0.0
    peak = math.exp(-4 / (north - south) ** 2)
    return 80 * METRES_PER_SECOND / peak * math.exp(1 / ((latitude - south) * (latitude - north)))


def jet_stream(truncation):
    """The layer and the jet in balance."""
    layer = small(truncation=truncation).layer()
    sphere = layer.sphere
    latitudes = sphere.height[:, 0].asin().tolist()
    east = torch.tensor([jet(latitude) * math.cos(latitude) for latitude in latitudes]).double()
    wind = east[:, None].expand(sphere.grid)
    vorticity, _ = sphere.curl_and_divergence(wind, torch.zeros_like(wind))
    state = layer.balanced(vorticity[None])
    state[:, 2, 0, 0] = GRAVITY * 1e4 / RADIUS
    return layer, state


def test_the_jet_has_the_height_of_the_integral():
    """Galewsky et al. 2004, eq. 3."""
    layer, state = jet_stream(63)
    found = layer.sphere.synthesis(state[0, 2])[:, 0]

    def slope(latitude):
        return -jet(latitude) * (2 * ROTATION * math.sin(latitude) + math.tan(latitude) * jet(latitude))

    latitudes = layer.sphere.height[:, 0].asin().tolist()
    expected = torch.tensor([quad(slope, math.pi / 7, min(max(x, math.pi / 7), 1.2))[0] for x in latitudes]).double()
    expected = expected - layer.sphere.mean(expected[:, None]) + state[0, 2, 0, 0].real
    metres = (found - expected).abs().max() * RADIUS / GRAVITY
    assert metres < 2  # of a drop by 1000, at a truncation that just resolves the jet


def test_a_perturbation_grows_on_the_jet_and_not_on_a_solid_rotation():
    """Galewsky et al. 2004, eq. 4: the barotropic instability of the jet, which takes days."""
    layer, on_jet = jet_stream(31)
    sphere = layer.sphere
    turning = layer.balanced(sphere.analysis((80 * METRES_PER_SECOND * sphere.height).expand(sphere.grid))[None])
    turning[:, 2, 0, 0] = on_jet[:, 2, 0, 0]
    longitude = torch.arange(sphere.grid[1], dtype=torch.float64) * (2 * math.pi / sphere.grid[1])
    longitude = (longitude + math.pi) % (2 * math.pi) - math.pi
    latitude = sphere.height.asin()
    bump = latitude.cos() * torch.exp(-((longitude * 3) ** 2)) * torch.exp(-(((math.pi / 4 - latitude) * 15) ** 2))
    states = torch.cat([on_jet, turning])
    states[:, 2] += sphere.analysis(bump * 120 * GRAVITY / RADIUS)
    waves = []
    for _ in range(2):
        states = advanced(layer, states, hours=36, dt=1 / 3)
        deviation = states[:, 0].clone()
        deviation[..., 0] = 0
        waves.append(sphere.mean_square(deviation).sum(dim=-1) / sphere.mean_square(states[:, 0]).sum(dim=-1))
    growth = (waves[1] / waves[0]).sqrt().tolist()
    assert growth[0] > 5
    assert growth[1] == pytest.approx(1.0, abs=0.2)


def test_energy_and_its_loss():
    layer = small().layer()
    state = small().initial_state([1, 2], layer)
    state = advanced(layer, state, hours=1, dt=1 / 4)
    damping = -(layer.sphere.laplacian / 100).square()
    rest = GRAVITY * 5960 / RADIUS
    _, rate = layer.energy(state, damping, rest)
    step = 1e-6
    ends = [layer.energy(state + sign * step * damping * state, damping, rest).amount for sign in (1, -1)]
    torch.testing.assert_close((ends[0] - ends[1]) / (2 * step), rate, rtol=1e-6, atol=0)
    flow = [layer.energy(state + sign * step * layer.rate(state), damping, rest).amount for sign in (1, -1)]
    drift = (flow[0] - flow[1]) / (2 * step)
    assert (drift.abs() < 1e-5 * ends[0]).all()


def test_the_initial_state_is_balanced_and_the_same_with_every_truncation():
    coarse, fine = (small(truncation=n) for n in (15, 31))
    states = [pde.initial_state([3], pde.layer()) for pde in (coarse, fine)]
    torch.testing.assert_close(states[0][:, 0], states[1][:, 0, :16, :16], rtol=0, atol=2e-4)
    layer = fine.layer()
    rate = layer.rate(states[1])
    assert rate[:, 1].abs().max() < 1e-10 * rate[:, 0].abs().max()
    east, north = layer.sphere.wind(states[1][:, 0], states[1][:, 1])
    speed = (2 * layer.sphere.mean(layer.kinetic_energy(east, north))).sqrt() / METRES_PER_SECOND
    assert speed.tolist() == pytest.approx([20.0])


def test_stored_winds_are_those_of_the_solver_and_other_grids_hold_the_same_flow():
    pde = small()
    layer = pde.layer()
    assert layer.sphere.grid == pde.resolution  # so that the longitudes are the same
    state = pde.initial_state([5], layer)
    state[:, 1] = 0.1 * state[:, 0].roll(1, 1).tril()
    frame = pde.frame(state, layer.sphere)
    east, north = layer.sphere.wind(state[:, 0], state[:, 1])
    south_and_east = torch.stack([-north, east], dim=-1) / METRES_PER_SECOND
    stored = frame.vector_fields["velocity"] * colatitudes("equiangular", 24).sin()[:, None, None]
    stored_kind, solved_kind = (
        SphericalTransform([LegendreBasis(kind), HalfFourierBasis()], [17, 17])
        for kind in ("equiangular", "gauss_legendre")
    )
    found = solved_kind.synthesis(stored_kind.analysis(stored), pde.resolution)
    torch.testing.assert_close(found, south_and_east, rtol=0, atol=1e-10)
    again = small(resolution=(8, 16), truncation=pde.simulated_truncation).frame(state, layer.sphere)
    torch.testing.assert_close(again.scalar_fields["height"], frame.scalar_fields["height"][:, 1::3, ::3])


def test_trajectories_have_planetswes_schema_and_the_well_reads_them(tmp_path):
    from the_well.data import WellDataset

    pde = small()
    trajectories = pde.simulate(seeds=[1, 2])
    assert trajectories.scalar_fields["height"].std() > 50
    path = tmp_path / "planetswe.hdf5"
    write_well_file(path, trajectories, dataset_name=pde.dataset_name, grid_type=pde.grid_type)
    assert check_file(path) == []
    data = WellDataset(path=str(tmp_path), use_normalization=False, n_steps_input=1, n_steps_output=1)
    metadata = data.metadata
    assert metadata.field_names == {0: ["height"], 1: ["velocity_theta", "velocity_phi"], 2: []}
    assert metadata.grid_type == "equiangular"
    assert set(metadata.boundary_condition_types) == {"OPEN", "PERIODIC"}
    np.testing.assert_array_equal(data[0]["input_fields"][0, ..., 0], trajectories.scalar_fields["height"][0, 0])
    assert data[0]["boundary_conditions"].tolist() == [[1.0, 1.0], [2.0, 2.0]]


def test_a_finer_grid_holds_the_same_simulation():
    coarse, fine = (pde.simulate(seeds=[4]) for pde in (small(), small().at_resolution((72, 144))))
    torch.testing.assert_close(
        fine.scalar_fields["height"][..., 1::3, ::3], coarse.scalar_fields["height"], rtol=1e-5, atol=1e-3
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"degree": 14}, "degree is 14"),
        ({"speed": 0.0}, "speed"),
        ({"truncation": 1}, "truncation"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"mean_depth": 20.0}, "falls dry"), ({"damping_time": 1e6, "speed": 60.0}, "not resolved")],
)
def test_what_is_not_physical_or_not_resolved_is_refused(options, message):
    with pytest.raises(FloatingPointError, match=message):
        small(n_frames=2, frame_interval=24.0, **options).simulate(seeds=[0])
