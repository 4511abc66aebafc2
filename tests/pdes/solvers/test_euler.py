"""The Euler solver against exact solutions, symmetries and conserved quantities."""

import math

import pytest
import torch

from fno_lightning.pdes.solvers.euler import (
    Conserved,
    EulerSolver,
    Primitive,
    UnphysicalStateError,
    to_conserved,
    to_primitive,
)
from tests.pdes.exact_riemann import exact_riemann

GAMMA = 5 / 3


def advance(state, duration, spacing, boundaries, gamma=GAMMA, **options):
    solver = EulerSolver(spacing, boundaries, gamma, compile=False, **options)
    return to_primitive(solver.advance(to_conserved(state, gamma), duration), gamma)


def transposed(state):
    return Primitive(*(field.transpose(1, 2) for field in state)).swapped


def centres(n_cells, length=1.0):
    return (torch.arange(n_cells, dtype=torch.float64) + 0.5) * length / n_cells


def uniform(shape, density=1.0, velocity_x=0.0, velocity_y=0.0, pressure=1.0, dtype=torch.float64):
    return Primitive(*(torch.full(shape, v, dtype=dtype) for v in (density, velocity_x, velocity_y, pressure)))


def shear_layers(n_cells=48, mach=0.3, density_ratio=100.0, seed=0, dtype=torch.float64):
    """A cold dense jet in hot gas, on a periodic square; the Mach number is that in the hot gas."""
    x, y = torch.meshgrid(centres(n_cells), centres(n_cells), indexing="ij")
    jet = (y - 0.5).abs() < 0.25
    speed = mach * math.sqrt(GAMMA)
    noise = torch.randn(n_cells, n_cells, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    fields = (
        torch.where(jet, density_ratio, 1.0),
        torch.where(jet, -0.5, 0.5) * speed,
        speed * (0.1 * torch.sin(4 * math.pi * x) + 0.01 * noise),
        torch.ones_like(x),
    )
    return Primitive(*(field[None].to(dtype) for field in fields))


@pytest.mark.parametrize(
    ("left", "right", "duration", "error"),
    [
        ((1.0, 0.0, 1.0), (0.125, 0.0, 0.1), 0.2, 0.004),
        ((1.0, -2.0, 0.4), (1.0, 2.0, 0.4), 0.12, 0.02),
        ((100.0, 0.5, 1.0), (1.0, -0.5, 1.0), 0.3, 2.0),
    ],
    ids=["sod", "near vacuum", "density ratio 100"],
)
def test_riemann_problem(left, right, duration, error):
    """The L1 error of the density is small and falls with first order, as it must at discontinuities."""

    def l1_error(n_cells):
        x = centres(n_cells)
        on_left = (x < 0.5)[None, :, None]
        density, velocity, pressure = (
            torch.where(on_left, *(torch.tensor(v, dtype=torch.float64) for v in pair))
            for pair in zip(left, right, strict=True)
        )
        state = Primitive(density, velocity, torch.zeros_like(density), pressure)
        result = advance(state, duration, (1 / n_cells, 1.0), ("open", "open"), gamma=1.4)
        exact = torch.from_numpy(exact_riemann(left, right, 1.4, ((x - 0.5) / duration).numpy()))
        return (result.density[0, :, 0] - exact[0]).abs().mean()

    coarse, fine = l1_error(100), l1_error(200)
    assert fine < error
    assert fine < 0.65 * coarse


def test_stationary_contact_and_shear_stay_exactly():
    state = uniform((1, 20, 6), velocity_y=0.3)
    state.density[:, 10:] = 100.0
    state.velocity_y[:, 10:] = -0.2
    result = advance(state, 0.5, (0.05, 0.05), ("open", "periodic"))
    for after, before in zip(result, state, strict=True):
        torch.testing.assert_close(after, before, rtol=1e-14, atol=1e-15)


def test_moving_contact_keeps_pressure_and_velocity():
    state = uniform((1, 64, 1), velocity_x=1.0)
    state.density[:, 16:32] = 100.0
    result = advance(state, 0.5, (1 / 64, 1.0), ("periodic", "open"))
    torch.testing.assert_close(result.pressure, state.pressure, rtol=1e-12, atol=0)
    torch.testing.assert_close(result.velocity_x, state.velocity_x, rtol=1e-12, atol=0)
    exact = state.density.roll(32, dims=1)
    assert (result.density - exact).abs().mean() < 0.05 * 99
    assert result.density.min() >= 1 - 1e-12
    assert result.density.max() <= 100 + 1e-10


def isentropic_vortex(n_cells, length=10.0, strength=5.0):
    """Yee, Sandham and Djomehri, J. Comput. Phys. 150, 199 (1999), section 5.1; it moves with velocity (1, 1)."""
    x, y = torch.meshgrid(*[centres(n_cells, length) - length / 2] * 2, indexing="ij")
    swirl = strength / (2 * math.pi) * torch.exp((1 - x**2 - y**2) / 2)
    temperature = 1 - (GAMMA - 1) / (2 * GAMMA) * swirl**2
    density = temperature ** (1 / (GAMMA - 1))
    return Primitive(*(f[None] for f in (density, 1 - y * swirl, 1 + x * swirl, density * temperature)))


def test_isentropic_vortex_converges_with_second_order():
    def l1_error(n_cells):
        start = isentropic_vortex(n_cells)
        end = advance(start, 2.0, (10 / n_cells, 10 / n_cells), ("periodic", "periodic"))
        exact = start.density.roll((n_cells // 5, n_cells // 5), dims=(1, 2))
        return (end.density - exact).abs().mean()

    coarse, medium, fine = (l1_error(n_cells) for n_cells in (20, 40, 80))
    assert math.log2(coarse / medium) > 1.8
    assert math.log2(medium / fine) > 1.8


def test_mass_momentum_and_energy_are_conserved():
    start = to_conserved(shear_layers(mach=1.0), GAMMA)
    solver = EulerSolver((1 / 48, 1 / 48), ("periodic", "periodic"), compile=False)
    end = solver.advance(start, 0.2)
    assert (end.density - start.density).abs().max() > 10
    for after, before in zip(end, start, strict=True):
        assert (after.sum() - before.sum()).abs() <= 1e-13 * before.abs().sum()


def test_walls_conserve_mass_and_energy():
    state = to_conserved(shear_layers(n_cells=32), GAMMA)
    solver = EulerSolver((1 / 32, 1 / 32), ("wall", "wall"), compile=False)
    end = solver.advance(state, 0.3)
    for after, before in ((end.density, state.density), (end.energy, state.energy)):
        assert (after.sum() - before.sum()).abs() <= 1e-13 * before.abs().sum()


@pytest.mark.parametrize("mach", [1.0, 10.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_stays_positive_in_strong_shear(mach, dtype):
    """The Mach number in the cold gas is ten times that in the hot gas."""
    result = advance(shear_layers(mach=mach, dtype=dtype), 0.5 / mach, (1 / 48, 1 / 48), ("periodic", "periodic"))
    assert result.density.min() > 0
    assert result.pressure.min() > 0


def test_both_axes_are_treated_alike():
    start = shear_layers(n_cells=24)
    boundaries = ("periodic", "wall")
    along_x = advance(start, 0.2, (1 / 24, 1 / 32), boundaries)
    along_y = advance(transposed(start), 0.2, (1 / 32, 1 / 24), boundaries[::-1])
    for one, other in zip(along_x, transposed(along_y), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_mirrored_flow_stays_mirrored():
    state = uniform((1, 32, 32))
    x, y = torch.meshgrid(centres(32) - 0.5, centres(32) - 0.5, indexing="ij")
    state.pressure[0] += 10 * torch.exp(-100 * (x**2 + y**2))
    result = advance(state, 0.2, (1 / 32, 1 / 32), ("open", "periodic"))
    torch.testing.assert_close(result.density, result.density.flip(1), rtol=1e-12, atol=0)
    torch.testing.assert_close(result.velocity_x, -result.velocity_x.flip(1), rtol=0, atol=1e-12)


def test_open_boundary_lets_a_pulse_leave():
    x = centres(100)
    state = uniform((1, 100, 1))
    pulse = 1e-3 * torch.exp(-((x - 0.5) ** 2) / 0.005)[None, :, None]
    sound = math.sqrt(GAMMA)
    state = Primitive(1 + pulse / sound**2, pulse / sound, state.velocity_y, 1 + pulse)
    result = advance(state, 1.5 / sound, (0.01, 1.0), ("open", "open"))
    assert (result.pressure - 1).abs().max() < 0.02 * pulse.max()


def test_trajectories_do_not_depend_on_their_batch():
    slow, fast = shear_layers(n_cells=24, mach=0.3), shear_layers(n_cells=24, mach=2.0, seed=1)
    together = Primitive(*(torch.cat(pair) for pair in zip(slow, fast, strict=True)))
    spacing, boundaries = (1 / 24, 1 / 24), ("periodic", "open")
    result = advance(together, 0.2, spacing, boundaries)
    for index, single in enumerate((slow, fast)):
        for batched, alone in zip(result, advance(single, 0.2, spacing, boundaries), strict=True):
            torch.testing.assert_close(batched[index], alone[0], rtol=1e-13, atol=1e-13)


def test_single_precision_is_close_to_double():
    boundaries = ("periodic", "open")
    double = advance(shear_layers(mach=0.1), 0.5, (1 / 48, 1 / 48), boundaries)
    single = advance(shear_layers(mach=0.1, dtype=torch.float32), 0.5, (1 / 48, 1 / 48), boundaries)
    for one, other in zip(single, double, strict=True):
        assert (one - other).abs().max() < 2e-4 * other.abs().max()


def test_a_broken_state_is_reported_with_its_place_in_the_batch():
    state = to_conserved(uniform((3, 8, 8)), GAMMA)
    state.energy[1, 4, 4] = -1.0
    solver = EulerSolver((1 / 8, 1 / 8), ("periodic", "periodic"), compile=False)
    with pytest.raises(UnphysicalStateError) as error:
        solver.advance(state, 0.1)
    assert error.value.trajectories == [1]


@pytest.mark.parametrize("cfl", [0.0, -0.5, 1.5, math.nan])
def test_impossible_courant_number(cfl):
    with pytest.raises(ValueError, match=f"cfl is {cfl}"):
        EulerSolver((0.1, 0.1), ("open", "open"), cfl=cfl)


def test_primitive_and_conserved_variables_are_inverse():
    state = shear_layers(n_cells=8)
    for there_and_back, before in zip(to_primitive(to_conserved(state, GAMMA), GAMMA), state, strict=True):
        torch.testing.assert_close(there_and_back, before, rtol=1e-12, atol=1e-14)
    assert isinstance(to_conserved(state, GAMMA), Conserved)
