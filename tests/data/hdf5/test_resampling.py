"""Fields on uneven axes, brought to even points: exact fields, means, constants."""

import itertools

import numpy as np
import pytest

from fno_lightning.data.hdf5.resampling import Resampling, uniform_matrix

GRIDS = {
    "Chebyshev with ends": lambda n: 0.5 - 0.5 * np.cos(np.pi * np.arange(n) / (n - 1)),
    "Chebyshev without ends": lambda n: 0.5 - 0.5 * np.cos(np.pi * (np.arange(n) + 0.5) / n),
    "fine at one end": lambda n: (10 ** np.linspace(0, 1, n) - 1) / 9,
    "fine in the middle": lambda n: 0.5 + 0.5 * np.sinh(2 * np.linspace(-1, 1, n)) / np.sinh(2),
    "irregular": lambda n: (np.arange(n) + 0.5 + np.random.default_rng(0).uniform(-0.35, 0.35, n)) / n,
}
FIELDS = {
    "wave": lambda x: np.cos(2 * np.pi * x),
    "monotonic": np.exp,
    "layer": lambda x: np.tanh((x - 0.3) / 0.15),
}
PERIODIC = {"wave": lambda x: np.cos(2 * np.pi * x), "gaussian": lambda x: np.exp(np.sin(2 * np.pi * x + 1))}


def periodic_grid(n):
    s = np.arange(n) / n
    return s + 0.08 * np.sin(2 * np.pi * s)


def domain(x):
    """Edges of the domain and width of the cell of each point, where the axis does not close."""
    low, high = x[0] - (x[1] - x[0]) / 2, x[-1] + (x[-1] - x[-2]) / 2
    return low, high, np.abs(np.diff(np.concatenate(([low], (x[1:] + x[:-1]) / 2, [high]))))


def centres(low, high, n):
    return low + (high - low) * (np.arange(n) + 0.5) / n


def order(errors):
    """Order of convergence from errors on grids that double in size."""
    return np.log2(errors[0] / errors[-1]) / (len(errors) - 1)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("sign", [1, -1], ids=["increasing", "decreasing"])
def test_smooth_fields_converge_to_the_exact_ones_with_second_order(grid, field, sign):
    errors = []
    for n in (32, 64, 128, 256):
        x = sign * GRIDS[grid](n)
        low, high, _ = domain(x)
        found = uniform_matrix(x, is_periodic=False) @ FIELDS[field](sign * x)
        errors.append(np.abs(found - FIELDS[field](sign * centres(low, high, n))).max())
    assert order(errors) > 1.9
    assert errors[-1] < 1e-3


@pytest.mark.parametrize("n", [3, 4, 5, 12, 33])
@pytest.mark.parametrize("grid", GRIDS)
def test_means_and_constants_are_kept_to_round_off(grid, n):
    x = GRIDS[grid](n)
    low, high, widths = domain(x)
    values = np.random.default_rng(1).normal(1e5, 1.0, n)
    matrix = uniform_matrix(x, is_periodic=False)
    np.testing.assert_allclose((matrix @ values).mean(), values @ widths / (high - low), rtol=1e-14)
    np.testing.assert_allclose(matrix @ np.full(n, 7.0), 7.0, rtol=1e-13)
    mirrored = uniform_matrix(-x[::-1], is_periodic=False)
    np.testing.assert_allclose(mirrored, matrix[::-1, ::-1], atol=1e-12)
    np.testing.assert_allclose(uniform_matrix(3 * x - 50, is_periodic=False), matrix, atol=1e-9)


def test_even_points_stay_as_they_are():
    x = np.linspace(0, 1, 32)
    matrix = uniform_matrix(x, is_periodic=False)
    assert np.abs(matrix @ FIELDS["wave"](x) - FIELDS["wave"](x)).max() < 2e-3


@pytest.mark.parametrize("field", PERIODIC)
def test_a_periodic_axis_closes(field):
    errors = []
    for n in (32, 64, 128, 256):
        x = periodic_grid(n)
        low, high, _ = domain(x)
        values, matrix = PERIODIC[field](x), uniform_matrix(x, is_periodic=True)
        around = np.concatenate(([x[-1] - (high - low)], x, [x[0] + high - low]))
        np.testing.assert_allclose(
            (matrix @ values).mean(), values @ (around[2:] - around[:-2]) / 2 / (high - low), atol=1e-14
        )
        np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-13)
        errors.append(np.abs(matrix @ values - PERIODIC[field](centres(low, high, n))).max())
    assert order(errors) > 1.9
    assert np.count_nonzero(np.abs(uniform_matrix(x, is_periodic=True)[0, -3:]) > 1e-2)
    assert errors[-1] < 1e-3


@pytest.mark.parametrize("n_dims", [1, 2, 3])
@pytest.mark.parametrize("kind", ["Chebyshev with ends", "Chebyshev without ends"])
def test_several_axes_converge_and_keep_the_mean(n_dims, kind):
    errors = []
    for n in (24, 48, 96):
        axes = [GRIDS[kind](n * (4 - k) // 4) for k in range(n_dims)]
        even = [centres(*domain(x)[:2], len(x)) for x in axes]
        resampling = Resampling(tuple(uniform_matrix(x, is_periodic=False) for x in axes))

        def field(points):
            mesh = np.meshgrid(*points, indexing="ij")
            return np.cos(sum((k + 1) * x for k, x in enumerate(mesh))) + 3

        found = resampling.apply(field(axes)[None], 1)
        errors.append(np.abs(found[0] - field(even)).max())
        mean = field(axes)
        for x in reversed(axes):
            low, high, widths = domain(x)
            mean = mean @ widths / (high - low)
        np.testing.assert_allclose(found.mean(), mean, rtol=1e-13)
    assert order(errors) > 1.9


def test_even_axes_and_axes_without_variation_are_left_alone():
    matrix = uniform_matrix(GRIDS["Chebyshev with ends"](6), is_periodic=False)
    resampling = Resampling((None, matrix, None))
    values = np.random.default_rng(0).normal(size=(2, 5, 6, 4))
    expected = np.einsum("ij,fajb->faib", matrix, values)
    np.testing.assert_allclose(resampling.apply(values, 1), expected, atol=1e-14)
    flat = values[:, :, :1]
    assert resampling.apply(flat, 1) is flat
    assert resampling.axes == (False, True, False)


def test_double_precision_is_kept_and_single_precision_is_computed_in_double():
    matrix = uniform_matrix(GRIDS["Chebyshev with ends"](48), is_periodic=False)
    values = 1e5 + 1e-6 * np.random.default_rng(0).normal(size=(1, 48))
    found = Resampling((matrix,)).apply(values, 1)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found - 1e5, (values - 1e5) @ matrix.T, atol=1e-9)
    single = values.astype(np.float32)
    np.testing.assert_array_equal(Resampling((matrix,)).apply(single, 1), single.astype(np.float64) @ matrix.T)


@pytest.mark.parametrize("kind", ["Chebyshev with ends", "Chebyshev without ends"])
def test_a_jump_overshoots_little_and_stays_where_it_is(kind):
    for n, place in itertools.product((16, 48), (0.2, 0.5, 0.8)):
        x = GRIDS[kind](n)
        found = uniform_matrix(x, is_periodic=False) @ (x > place)
        assert found.min() > -0.06
        assert found.max() < 1.06
        low, high, _ = domain(x)
        far = np.abs(centres(low, high, n) - place) > 4 * (high - low) / n
        np.testing.assert_allclose(found[far], (centres(low, high, n) > place)[far], atol=2e-2)
