"""Half-waves and Chebyshev polynomials, beside SciPy's transforms and exact fields."""

import numpy as np
import pytest
import scipy.fft
import torch
from numpy.polynomial import chebyshev

from fno_lightning.layers import ChebyshevBasis, HalfWaveBasis, SpectralConv, chebyshev_points

CPU = torch.device("cpu")


def coefficients(basis, field, n_coefficients):
    return (basis.analysis(len(field), n_coefficients, CPU)[0] @ torch.as_tensor(field)).numpy()


@pytest.mark.parametrize("n_points", [1, 7, 12])
@pytest.mark.parametrize(
    ("ends", "transform"),
    [
        (("even", "even"), lambda u: scipy.fft.dct(u, 2)),
        (("odd", "odd"), lambda u: scipy.fft.dst(u, 2)),
        (("even", "odd"), lambda u: scipy.fft.dct(u, 4)),
        (("odd", "even"), lambda u: scipy.fft.dst(u, 4)),
    ],
    ids=["DCT-II", "DST-II", "DCT-IV", "DST-IV"],
)
def test_half_waves_are_the_discrete_transforms(ends, transform, n_points):
    field = np.random.default_rng(0).standard_normal(n_points)
    expected = transform(field) / n_points
    if ends == ("even", "even"):
        expected[0] /= 2
    if ends == ("odd", "odd"):
        expected[-1] /= 2
    np.testing.assert_allclose(coefficients(HalfWaveBasis(*ends), field, n_points), expected, atol=1e-14)


@pytest.mark.parametrize("points", ["gauss", "lobatto"])
@pytest.mark.parametrize("n_points", [5, 8])
def test_chebyshev_coefficients_are_those_of_the_interpolating_polynomial(points, n_points):
    basis = ChebyshevBasis(points)
    x = np.array(basis.points_of(n_points))
    assert np.all(np.diff(x) > 0)
    field = np.exp(x) + x**2
    expected = chebyshev.Chebyshev.fit(x, field, n_points - 1, domain=[-1, 1]).coef
    np.testing.assert_allclose(coefficients(basis, field, n_points), expected, atol=1e-13)


@pytest.mark.parametrize("points", ["gauss", "lobatto"])
def test_a_smooth_field_that_ends_anyhow_needs_few_polynomials(points):
    basis = ChebyshevBasis(points)
    x = torch.tensor(basis.points_of(40), dtype=torch.float64)
    field = torch.exp(x)
    error = (basis.synthesis(40, 12, CPU)[0].T @ (basis.analysis(40, 12, CPU)[0] @ field) - field).abs().max()
    assert error < 1e-10
    cosines = HalfWaveBasis("even", "even")
    even = torch.exp((2 * torch.arange(40, dtype=torch.float64) + 1) / 40 - 1)
    assert (cosines.synthesis(40, 12, CPU)[0].T @ (cosines.analysis(40, 12, CPU)[0] @ even) - even).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["sine", "sine_cosine", "cosine_sine", "cosine", "chebyshev", "chebyshev_lobatto"])
def test_a_convolution_is_the_same_operator_on_other_grids(name):
    conv = SpectralConv(1, 1, [6], bases=[name]).double()
    basis = conv.transform.bases[0]
    amplitudes = torch.randn(4, dtype=torch.float64)

    def applied(n_points):
        field = amplitudes @ basis.synthesis(n_points, 4, CPU)[0]
        out = conv(field[None, :, None])[0, :, 0] - conv.bias
        return basis.analysis(n_points, 6, CPU)[0] @ out

    torch.testing.assert_close(applied(12), applied(31), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("basis", "vanishes"), [("sine", [True, True]), ("sine_cosine", [True, False])])
def test_what_sines_make_is_zero_at_their_ends_but_for_the_bias(basis, vanishes):
    torch.manual_seed(0)
    conv = SpectralConv(2, 3, [4, 4], bases=[basis, "fourier"])
    fine = (conv(torch.randn(1, 4096, 8, 2)) - conv.bias).abs()
    ends = torch.stack([fine[:, 0], fine[:, -1]]).amax(dim=(1, 2, 3))
    assert (ends < 0.01 * fine.max()).tolist() == vanishes
    with torch.no_grad():
        for weight in conv.weight.parameters():
            weight.zero_()
    torch.testing.assert_close(conv(torch.ones(1, 8, 8, 2)), conv.bias.expand(1, 8, 8, 3))


@pytest.mark.parametrize("points", ["gauss", "lobatto"])
def test_points_are_recognised_on_any_interval_and_in_single_precision(points):
    x = np.float32(3 + 0.25 * np.array(ChebyshevBasis(points).points_of(64)))
    assert chebyshev_points([float(value) for value in x]) == points
    x[10] += 1e-3
    assert chebyshev_points([float(value) for value in x]) is None


def test_even_points_are_no_chebyshev_points():
    assert chebyshev_points([0.0, 1.0, 2.0, 3.0, 4.0]) is None
    assert chebyshev_points([]) is None
