from itertools import product

import pytest
import torch

from fno_lightning.layers import ChebyshevBasis, FourierBasis, HalfFourierBasis, HalfWaveBasis, SpectralTransform
from fno_lightning.layers.kernels import dispatch
from fno_lightning.layers.transform import analysis_matrix, synthesis_matrix

FOURIER, HALF, COSINE = FourierBasis(), HalfFourierBasis(), HalfWaveBasis("even", "even")
REAL = [
    *(HalfWaveBasis(*ends) for ends in product(["even", "odd"], repeat=2)),
    *map(ChebyshevBasis, ["gauss", "lobatto"]),
]
CPU = torch.device("cpu")


def fft_coefficients(field, n_coefficients):
    """Kept part of the FFT: wave numbers around zero on the leading axes, from zero on the last."""
    spectrum = torch.fft.rfftn(field, dim=tuple(range(1, field.ndim - 1)), norm="forward")
    for axis, (kept, n_points) in enumerate(zip(n_coefficients[:-1], field.shape[1:-2], strict=True), start=1):
        wave_numbers = torch.arange(kept) - kept // 2
        spectrum = spectrum.index_select(axis, wave_numbers % n_points)
    return spectrum.narrow(-2, 0, n_coefficients[-1])


def inverse_fft(coefficients, grid):
    """Field of the kept coefficients: zeros for the rest, leading axes first, then the real inverse FFT."""
    dims = tuple(range(1, len(grid) + 1))
    kept = coefficients.shape[1:-1]
    spectrum = coefficients.new_zeros(coefficients.shape[0], *grid[:-1], grid[-1] // 2 + 1, coefficients.shape[-1])
    rows = [(torch.arange(m) - m // 2) % n for m, n in zip(kept[:-1], grid[:-1], strict=True)]
    index = torch.meshgrid(*rows, torch.arange(kept[-1]), indexing="ij")
    spectrum[(slice(None), *index)] = coefficients
    if len(grid) > 1:
        spectrum = torch.fft.ifftn(spectrum, dim=dims[:-1], norm="forward")
    return torch.fft.irfft(spectrum, n=grid[-1], dim=dims[-1], norm="forward")


GRIDS = [
    ((16,), (5,)),
    ((17,), (9,)),
    ((16,), (9,)),
    ((12, 10), (6, 4)),
    ((13, 15), (7, 3)),
    ((9, 8), (9, 5)),
    ((12, 10), (2, 6)),
    ((8, 7, 12), (4, 3, 5)),
    ((5, 8, 6), (5, 2, 4)),
]


@pytest.mark.parametrize(("grid", "kept"), GRIDS)
def test_analysis_is_the_truncated_fft(grid, kept):
    field = torch.randn(2, *grid, 3, dtype=torch.float64)
    coefficients = fourier_transform(kept).analysis(field)
    expected = fft_coefficients(field, kept)
    torch.testing.assert_close(torch.complex(coefficients[:, 0], coefficients[:, 1]), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("grid", "kept"), GRIDS)
def test_synthesis_is_the_inverse_fft(grid, kept):
    coefficients = torch.randn(2, 2, *kept, 3, dtype=torch.float64)
    field = fourier_transform(kept).synthesis(coefficients, grid)
    expected = inverse_fft(torch.complex(coefficients[:, 0], coefficients[:, 1]), grid)
    torch.testing.assert_close(field, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("n_points", [1, 6, 11])
def test_cosine_analysis_is_the_fft_of_the_even_continuation(n_points):
    field = torch.randn(n_points, dtype=torch.float64)
    spectrum = torch.fft.fft(torch.cat([field, field.flip(0)]))[:n_points]
    half_point = torch.exp(-1j * torch.pi * torch.arange(n_points, dtype=torch.float64) / (2 * n_points))
    expected = (spectrum * half_point).real / n_points
    expected[0] /= 2
    coefficients = analysis_matrix(COSINE, n_points, n_points, 1, CPU) @ field
    torch.testing.assert_close(coefficients, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("basis", [FOURIER, HALF, *REAL], ids=str)
@pytest.mark.parametrize("n_points", [7, 8, 13])
def test_analysis_inverts_synthesis(basis, n_points):
    n_parts = 2 if basis == FOURIER else 1
    n_coefficients = basis.n_coefficients(n_points - 2)
    product = analysis_matrix(basis, n_points, n_coefficients, n_parts, CPU) @ synthesis_matrix(
        basis, n_points, n_coefficients, n_parts, CPU
    )
    expected = torch.eye(product.shape[0], dtype=torch.float64)
    if basis == HALF:
        expected[n_coefficients, n_coefficients] = 0  # the imaginary part of the mean is no part of a real field
    torch.testing.assert_close(product, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("bases", "grid"),
    [
        ((HALF, COSINE), (8, 9)),
        ((COSINE, HALF), (9, 8)),
        ((COSINE, FOURIER, HALF), (5, 7, 6)),
        ((FOURIER, COSINE, HALF), (5, 6, 8)),
        ((COSINE, HALF, COSINE), (4, 7, 3)),
        ((COSINE, COSINE), (6, 5)),
    ],
)
def test_every_mode_of_mixed_bases_gives_the_field_back(bases, grid):
    kept = [basis.n_coefficients(n) for basis, n in zip(bases, grid, strict=True)]
    transform = SpectralTransform(bases, kept)
    field = torch.randn(2, *grid, 3, dtype=torch.float64)
    coefficients = transform.analysis(field)
    assert coefficients.shape == (2, 1 + transform.is_complex, *kept, 3)
    torch.testing.assert_close(transform.synthesis(coefficients, grid), field, rtol=0, atol=1e-13)


def test_float32_matrices_are_exact_to_round_off():
    matrix = analysis_matrix(HALF, 4099, 2000, 1, CPU)
    angle = -2 * torch.pi * (torch.outer(torch.arange(2000), torch.arange(4099)) % 4099).double() / 4099
    torch.testing.assert_close(matrix, torch.cat([angle.cos(), angle.sin()]) / 4099, rtol=0, atol=1e-18)


def test_matrices_made_without_gradients_serve_training():
    transform = fourier_transform((2, 3))
    with torch.inference_mode():
        transform.analysis(torch.randn(1, 21, 22, 1))
    field = torch.randn(1, 21, 22, 1, requires_grad=True)
    transform.analysis(field).square().sum().backward()
    assert field.grad is not None


def fourier_transform(kept):
    return SpectralTransform([*[FOURIER] * (len(kept) - 1), HALF], kept)


@pytest.mark.parametrize("n_points", [150, 151, 130, 128, 100])
def test_many_modes_by_fft_are_those_by_products(n_points, monkeypatch):
    transform = fourier_transform((65,))
    field = torch.randn(2, n_points, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 2, len(range(65)[transform.resolved((n_points,))[0]]), 3, dtype=torch.float64)
    n_ffts, rfft = [], torch.fft.rfft
    monkeypatch.setattr(torch.fft, "rfft", lambda *args, **options: n_ffts.append(1) or rfft(*args, **options))

    def convolution():
        result = transform.synthesis(transform.analysis(field) * weight, (n_points,))
        return result, torch.autograd.grad(result.square().sum(), field)[0]

    monkeypatch.setattr(dispatch, "SMALLEST_FFT", 1000)
    products = convolution()
    assert not n_ffts
    monkeypatch.setattr(dispatch, "SMALLEST_FFT", 64 if n_points >= 128 else 51)
    torch.testing.assert_close(convolution(), products, rtol=0, atol=1e-10)
    assert n_ffts
