"""Residuals of the equations: those of their own solvers' solutions, and of wrong ones."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from fno_lightning.derivatives import GridDerivatives, Spectral
from fno_lightning.pdes import (
    AdvectionDiffusion,
    Burgers,
    DarcyFlow,
    EulerMultiQuadrantsPeriodicBC,
    GrayScott,
    Helmholtz,
    KuramotoSivashinsky,
    NavierStokes,
    NonlinearPoisson,
    Poisson,
    ShallowWater,
    ShearFlow,
    TrialSolution,
    TurbulentRadiativeLayer2D,
)
from fno_lightning.pdes.collocation import (
    collocation_residual,
    exponential_moments,
    exponential_residual,
    integration_weights,
)
from fno_lightning.pdes.solvers.kirchhoff_transform import harmonic_extension, values_of_extension

EVOLVING = [
    Burgers((64,), [0.05, 0.1], n_frames=9, frame_interval=0.01),
    KuramotoSivashinsky((48,), length=22.0, n_frames=9, frame_interval=0.05, warm_up=5.0),
    NavierStokes((32, 32), [1e-3, 2e-3], n_frames=9, frame_interval=0.05, refinement=1),
    NavierStokes((48, 48), 1e-3, n_frames=9, frame_interval=0.05, refinement=2),
    GrayScott((128, 128), (0.03, 0.06), n_frames=8, frame_interval=0.25),
    ShearFlow((32, 64), reynolds=100.0, schmidt=[0.5, 1.0], n_frames=7, frame_interval=0.02),
    ShallowWater((32, 32), n_frames=7, frame_interval=0.002),
]
STEADY = [
    Poisson((64, 64)),
    AdvectionDiffusion((64, 64)),
    Helmholtz((64, 64)),
    DarcyFlow((24, 20)),
    NonlinearPoisson((24, 20)),
]


def named(pde):
    return type(pde).__name__


def trial(pde, seeds=(1, 2), first=0, dtype=torch.float64):
    """Simulate trajectories of every set of parameters, as the data of a loss."""
    parts = [pde.simulate(parameters, seeds) for parameters in pde.parameter_sets]
    names = "xyz"
    fields = {name: torch.cat([part.scalar_fields[name] for part in parts]) for name in parts[0].scalar_fields}
    for name in parts[0].vector_fields:
        values = torch.cat([part.vector_fields[name] for part in parts])
        fields |= {f"{name}_{names[i]}": values[..., i] for i in range(values.shape[-1])}
    time = parts[0].time
    return TrialSolution(
        fields={name: values[:, first:].to(dtype) for name, values in fields.items()},
        constants={
            name: torch.cat([part.constant_fields[name] for part in parts]).to(dtype)
            for name in parts[0].constant_fields
        },
        scalars={
            name: torch.cat([part.scalars[name].expand(len(seeds)) for part in parts]).to(dtype)
            for name in parts[0].scalars
        },
        n_known=1,
        time_step=(time[1] - time[0]).item() if len(time) > 1 else None,
        derivatives=GridDerivatives([Spectral(n) for n in pde.resolution]),
    )


def size(residual):
    scale = residual.scale.view(len(residual.scale), 1, -1, *(1,) * (residual.values.ndim - 3))
    return (residual.values / scale).square().mean().sqrt().item()


@pytest.mark.parametrize("pde", EVOLVING, ids=named)
def test_a_simulation_leaves_no_residual_and_a_wrong_one_does(pde):
    solution = trial(pde, first=3)  # the first frames are rough in time
    right = size(pde.residual(solution))
    slower = solution._replace(time_step=1.05 * solution.time_step)
    bent = solution._replace(fields={name: 1.1 * values for name, values in solution.fields.items()})
    assert right < 2e-4
    assert size(pde.residual(slower)) > 10 * right
    assert size(pde.residual(bent)) > 3 * right


@pytest.mark.parametrize("pde", STEADY, ids=named)
def test_a_solved_sample_leaves_no_residual_and_a_wrong_one_does(pde):
    solution = trial(pde)
    right = size(pde.residual(solution))
    wrong = solution._replace(fields={name: 1.01 * values for name, values in solution.fields.items()})
    assert right < 2e-4  # stored in single precision, which second derivatives enlarge
    assert size(pde.residual(wrong)) > 5e-3


@pytest.mark.parametrize("pde", [*EVOLVING[:2], EVOLVING[5], *STEADY], ids=named)
def test_residuals_have_gradients(pde):
    solution = trial(pde, seeds=(1,))
    weights = {name: torch.randn_like(values[:, :2]) for name, values in solution.fields.items()}
    known = {name: values[:, :2] for name, values in solution.fields.items()}

    def loss(amount):
        fields = {name: values + 1e-2 * amount * weights[name] for name, values in known.items()}
        residual = pde.residual(solution._replace(fields=fields))
        return (residual.values / residual.values.detach().abs().max()).square().sum()

    amount = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(amount), amount)
    h = 1e-5
    with torch.no_grad():
        fixed = pde.residual(solution._replace(fields={n: v + 1e-2 * weights[n] for n, v in known.items()}))
        largest = fixed.values.abs().max()

        def of(value):
            fields = {name: values + 1e-2 * value * weights[name] for name, values in known.items()}
            return (pde.residual(solution._replace(fields=fields)).values / largest).square().sum().item()

        numeric = (of(1 + h) - of(1 - h)) / (2 * h)
    assert slope.item() == pytest.approx(numeric, rel=1e-5)


@pytest.mark.parametrize(
    "pde",
    [
        EulerMultiQuadrantsPeriodicBC((24, 24), gammas=[1.3, 1.4], n_frames=4, frame_interval=2e-4, compile=False),
        TurbulentRadiativeLayer2D(
            (16, 48), [0.1, 1.0], n_frames=4, frame_interval=2e-3, compile=False, precision="float64"
        ),
    ],
    ids=named,
)
def test_a_gas_leaves_the_error_of_the_time_steps(pde):
    """The simulation predicts to half a time step, the rate is that of the instant: both agree for short steps."""
    solution = trial(pde)
    standing = solution._replace(fields={n: v[:, :1].expand_as(v) for n, v in solution.fields.items()})
    assert size(pde.residual(solution)) < 0.05 * size(pde.residual(standing))


def test_the_rate_of_cooling_is_that_of_a_short_step():
    pde = TurbulentRadiativeLayer2D((8, 24), 0.1, compile=False, precision="float64")
    state = pde.start({"tcool": 0.1}, [0], "cpu")
    source = pde.euler_solver({"tcool": 0.1}, 1, "cpu").source
    dt = torch.full((1, 1, 1), 1e-5, dtype=torch.float64)
    change = (source(state, dt).energy - state.energy) / dt
    torch.testing.assert_close(source.rate(state), change, rtol=1e-3, atol=1e-6)
    assert source.rate(state).abs().max() > 1e-3


def test_integrals_between_frames_are_exact_for_cubics():
    weights = integration_weights(7, 4)
    t = np.arange(7.0)
    for power in range(4):
        np.testing.assert_allclose(weights @ t**power, np.diff(t ** (power + 1)) / (power + 1), atol=1e-12)
    np.testing.assert_allclose(integration_weights(2, 4), [[0.5, 0.5]])


def test_the_residual_falls_as_the_fifth_power_of_the_time_step():
    errors = []
    for n in (10, 20):
        t = torch.linspace(0, 1, n + 1, dtype=torch.float64).view(1, -1, 1, 1)
        residual = collocation_residual(torch.exp(t), torch.exp(t), 1 / n)
        errors.append(residual.abs().max().item())
    assert math.log2(errors[0] / errors[1]) > 4.7
    with pytest.raises(ValueError, match="needs a frame that is not known, got 3 frames, 3 of them known"):
        collocation_residual(torch.zeros(1, 3, 1, 4), torch.zeros(1, 3, 1, 4), 0.1, n_known=3)


def test_moments_of_exponentials():
    z = torch.tensor([-1e4, -50.0, -4.1, -3.9, -0.3, 0.0, 2.0, 6.0], dtype=torch.float64)
    for power, moment in enumerate(exponential_moments(z, 4)):
        expected = [
            quad(lambda s, v=value: math.exp(v * (1 - s)) * s**power, max(0, 1 - 50 / max(-value, 1)), 1)[0]  # noqa: B023
            for value in z.tolist()
        ]
        np.testing.assert_allclose(moment, expected, rtol=1e-10)


def test_fast_decay_is_exact_and_slow_forcing_of_fourth_order():
    """u' = L u + cos t; where L is stiff only the end of a step counts, at which the polynomial is exact: h³ / L²."""
    linear = torch.tensor([-0.5, -30.0, -3000.0], dtype=torch.float64)
    errors = []
    for n in (8, 16):
        t = torch.linspace(0, 1, n + 1, dtype=torch.float64)[:, None]
        particular = (torch.sin(t) - linear * torch.cos(t)) / (1 + linear.square())
        u = torch.exp(linear * t) + particular
        free = exponential_residual(torch.exp(linear * t) + 0j, 0j * t * linear, linear, 1 / n)
        assert free.abs().max() < 1e-14
        forced = exponential_residual(u + 0j, torch.cos(t).expand_as(u) + 0j, linear, 1 / n)
        errors.append(forced.abs().amax(dim=0))
    assert (torch.log2(errors[0] / errors[1]) > torch.tensor([4.7, 3.7, 2.9])).all()
    assert (errors[1][1:] < errors[1][0] * torch.tensor([0.5, 1e-3])).all()


def test_boundary_values_are_those_of_the_extension():
    errors = []
    for n in (32, 64):
        values = NonlinearPoisson((n, n)).boundary_data([3, 4])
        found = values_of_extension(harmonic_extension(values, (1 / n, 1 / n)), (1 / n, 1 / n))
        for own, expected in zip(found, values, strict=True):
            torch.testing.assert_close(own[:, 1:-1], expected[:, 1:-1], rtol=0, atol=1e-10)
        errors.append(max((own - expected).abs().max().item() for own, expected in zip(found, values, strict=True)))
    assert errors[1] < errors[0] / 3


def test_missing_parts_are_named():
    pde = ShearFlow((32, 64), n_frames=3)
    solution = trial(ShearFlow((32, 64), reynolds=100.0, schmidt=1.0, n_frames=3, frame_interval=0.02), seeds=(1,))
    for part, name, message in [
        (
            "fields",
            "tracer",
            r"needs the fields \['velocity_x', 'velocity_y', 'tracer'\], but the data lack \['tracer'\]",
        ),
        ("scalars", "Schmidt", r"but the data lack \['Schmidt'\]"),
    ]:
        rest = {key: value for key, value in getattr(solution, part).items() if key != name}
        with pytest.raises(ValueError, match=message):
            pde.residual(solution._replace(**{part: rest}))
    with pytest.raises(ValueError, match="ShearFlow is an equation in time, but the data are steady"):
        pde.residual(solution._replace(time_step=None))
    with pytest.raises(ValueError, match="DarcyFlow is an equation without time"):
        DarcyFlow().residual(solution._replace(fields={"pressure": solution.fields["tracer"]}))
