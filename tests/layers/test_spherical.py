import math

import pytest
import torch
from scipy.special import sph_harm_y

from fno_lightning.layers import CPWeight, DenseWeight, SphericalConv, SphericalTransform
from fno_lightning.layers.fourier import HalfFourierBasis
from fno_lightning.layers.legendre import LegendreBasis
from fno_lightning.sphere import associated_legendre, colatitudes

KINDS = ["equiangular", "equiangular_poles", "gauss_legendre"]


def transform(kind, n_degrees, n_orders):
    return SphericalTransform([LegendreBasis(kind), HalfFourierBasis()], [n_degrees, n_orders])


def points(kind, grid):
    """Colatitude and longitude of each point."""
    longitude = torch.arange(grid[1], dtype=torch.float64) * (2 * math.pi / grid[1])
    return torch.meshgrid(colatitudes(kind, grid[0]), longitude, indexing="ij")


def random_field(angle, longitude, n_degrees, seed=0):
    """A band-limited field at any points, by scipy's harmonics."""
    generator = torch.Generator().manual_seed(seed)
    field = torch.zeros_like(angle)
    for degree in range(n_degrees):
        for order in range(degree + 1):
            real, imaginary = torch.randn(2, generator=generator, dtype=torch.float64).tolist()
            harmonic = torch.from_numpy(sph_harm_y(degree, order, angle.numpy(), longitude.numpy()))
            field += (complex(real, imaginary) * harmonic).real
    return field


def rotated(angle, longitude):
    """Angles of the same points after a rotation about an axis that is none of the grid's."""
    height, radius = angle.cos(), angle.sin()
    position = torch.stack([radius * longitude.cos(), radius * longitude.sin(), height], dim=-1)
    skew = torch.tensor([[0.0, -0.7, 0.4], [0.7, 0.0, -1.1], [-0.4, 1.1, 0.0]], dtype=torch.float64)
    x, y, z = (position @ torch.linalg.matrix_exp(skew).mT).unbind(-1)
    return z.clamp(-1, 1).acos(), torch.atan2(y, x)


def convolution(kind, n_degrees, **options):
    torch.manual_seed(0)
    return SphericalConv(1, 1, (n_degrees, 2 * n_degrees - 2), latitudes=kind, bias=False, **options).double()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grid", [(8, 14), (9, 13), (24, 48)])
def test_synthesis_and_analysis_are_inverse_up_to_as_many_degrees_as_the_grid_has_latitudes(kind, grid):
    n_degrees = min(12, grid[0] - 1)
    spectral = transform(kind, 12, 7)
    field = random_field(*points(kind, grid), min(7, n_degrees))[None, ..., None]
    coefficients = spectral.analysis(field)
    assert coefficients.shape[2] == min(12, grid[0] - (kind == "equiangular_poles"))
    torch.testing.assert_close(spectral.synthesis(coefficients, grid), field, rtol=0, atol=1e-12)
    drawn = torch.randn(1, 2, n_degrees, min(7, (grid[1] + 1) // 2), 3, dtype=torch.float64)
    degree, order = (torch.arange(n) for n in drawn.shape[2:4])
    drawn = drawn * (degree[:, None] >= order)[..., None]
    drawn[:, 1, :, 0] = 0
    found = spectral.analysis(spectral.synthesis(drawn, grid))[:, :, :n_degrees, : drawn.shape[3]]
    torch.testing.assert_close(found, drawn, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("degree", "order"), [(0, 0), (3, 0), (3, 3), (7, 2)])
def test_a_harmonic_is_one_coefficient_and_an_eigenfunction_of_the_laplacian(kind, degree, order):
    grid = (20, 24)
    angle, longitude = points(kind, grid)
    harmonic = torch.from_numpy(sph_harm_y(degree, order, angle.numpy(), longitude.numpy()).real)[None, ..., None]
    spectral = transform(kind, 10, 9)
    coefficients = spectral.analysis(harmonic)
    is_there = coefficients.abs() > 1e-12
    assert is_there.nonzero().tolist() == [[0, 0, degree, order, 0]]
    conv = convolution(kind, 10)
    with torch.no_grad():  # -l (l + 1): the Laplace-Beltrami operator
        eigenvalues = -torch.arange(10.0, dtype=torch.float64) * torch.arange(1.0, 11.0, dtype=torch.float64)
        conv.weight.shared.kernel[:, 0, 0, 0] = eigenvalues
        found = conv(harmonic)
    torch.testing.assert_close(found, -degree * (degree + 1) * harmonic, rtol=0, atol=1e-11)


def test_the_laplacian_is_that_of_finite_differences():
    angle, longitude = points("equiangular", (2000, 8))
    field = random_field(angle, longitude, 4)
    step = math.pi / 2000
    by_angle = (field.roll(-1, 0) - field.roll(1, 0)) / (2 * step)
    second = (field.roll(-1, 0) - 2 * field + field.roll(1, 0)) / step**2
    wave = torch.fft.rfft(field)
    around = torch.fft.irfft(-(torch.arange(5.0) ** 2) * wave, n=8)
    expected = second + by_angle / angle.tan() + around / angle.sin() ** 2
    conv = convolution("equiangular", 4)
    with torch.no_grad():
        conv.weight.shared.kernel[:, 0, 0, 0] = -torch.tensor([0.0, 2.0, 6.0, 12.0], dtype=torch.float64)
        found = conv(field[None, ..., None])[0, ..., 0]
    torch.testing.assert_close(found[200:-200], expected[200:-200], rtol=0, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weight", [DenseWeight, CPWeight])
def test_rotations_about_any_axis_pass_through(kind, weight):
    grid, conv = (18, 24), convolution(kind, 8, weight=weight)
    angle, longitude = points(kind, grid)
    turned = rotated(angle, longitude)
    field, turned_field = (random_field(*at, 8)[None, ..., None] for at in ((angle, longitude), turned))
    with torch.no_grad():
        spectral = conv.transform
        of_field = spectral.analysis(conv(field))[0, ..., 0]
        functions = associated_legendre(turned[0].flatten(), 8, 8)
        amplitude = torch.complex(of_field[0], of_field[1]).T  # (order, degree)
        waves = torch.exp(1j * torch.arange(8)[:, None] * turned[1].flatten())
        multiplicity = torch.tensor([1.0] + [2.0] * 7, dtype=torch.float64)
        at_turned = torch.einsum("m,ml,mlp,mp->p", multiplicity.to(waves), amplitude, functions.to(waves), waves).real
        torch.testing.assert_close(conv(turned_field).flatten(), at_turned, rtol=0, atol=1e-11)


@pytest.mark.parametrize("by_order", [False, True])
def test_rotations_about_the_axis_pass_through(by_order):
    conv = SphericalConv(2, 3, (6, 10), by_order=by_order).double()
    field = torch.randn(2, 9, 12, 2, dtype=torch.float64)
    torch.testing.assert_close(conv(field.roll(5, 2)), conv(field).roll(5, 2), rtol=0, atol=1e-12)


@pytest.mark.parametrize("by_order", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_function_on_any_grid(kind, by_order):
    conv = convolution(kind, 6, by_order=by_order)
    coarse, fine = (conv(random_field(*points(kind, grid), 6)[None, ..., None]) for grid in ((8, 12), (40, 54)))
    expected = transform(kind, 6, 6).synthesis(transform(kind, 6, 6).analysis(coarse), (40, 54))
    torch.testing.assert_close(fine, expected, rtol=0, atol=1e-12)


def test_weights_are_shared_by_the_orders_of_a_degree():
    conv = SphericalConv(3, 4, (5, 8), latitudes="gauss_legendre").double()
    field = torch.randn(1, 6, 10, 3, dtype=torch.float64)
    coefficients = conv.transform.analysis(field)
    expected = torch.einsum("bplmi,lio->bplmo", coefficients, conv.weight.shared.kernel[..., 0])
    expected[:, 0, 0, 0] += conv.bias
    torch.testing.assert_close(conv.transform.analysis(conv(field)), expected, rtol=0, atol=1e-12)


def test_coefficients_are_those_of_torch_harmonics():
    harmonics = pytest.importorskip("torch_harmonics")
    for kind, theirs in (("gauss_legendre", "legendre-gauss"), ("equiangular_poles", "equiangular")):
        reference = harmonics.RealSHT(17, 32, lmax=8, mmax=8, grid=theirs, csphase=False).double()
        field = random_field(*points(kind, (17, 32)), 8)
        expected = reference(field).T / math.sqrt(4 * math.pi)  # (order, degree)
        found = transform(kind, 8, 8).analysis(field[None, ..., None])[0, ..., 0]
        torch.testing.assert_close(torch.complex(found[0], found[1]).T, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("by_order", [False, True])
def test_a_layer_of_fewer_modes_is_one_that_was_built_with_them(by_order):
    conv = convolution("equiangular", 8, by_order=by_order, filter_order=4)
    small = convolution("equiangular", 5, by_order=by_order, filter_order=4)
    with torch.no_grad():
        for name, parameter in small.named_parameters():
            parameter.copy_(dict(conv.named_parameters())[name][tuple(map(slice, parameter.shape))])
    conv.keep_modes((5, 8))
    conv.zero_unused_modes_()
    field = torch.randn(1, 12, 20, 1, dtype=torch.float64)
    torch.testing.assert_close(conv(field), small(field), rtol=0, atol=1e-12)
    conv.keep_modes((8, 14))
    coefficients = conv.transform.analysis(conv(field))
    assert coefficients[:, :, 5:].abs().max() < 1e-12
    conv(field).square().sum().backward()
    assert conv.gradient_strength(0).shape == (8,)
    assert conv.gradient_strength(1).shape == (8,)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_precision_is_near_float64(dtype):
    conv = convolution("equiangular", 8)
    field = random_field(*points("equiangular", (16, 32)), 8)[None, ..., None]
    expected = conv(field)
    error = (conv.to(dtype)(field.to(dtype)).double() - expected).norm() / expected.norm()
    assert error < {torch.float32: 1e-6, torch.bfloat16: 2e-2}[dtype]


def test_two_modes_are_needed():
    with pytest.raises(ValueError, match="n_modes"):
        SphericalConv(1, 1, (8,))
