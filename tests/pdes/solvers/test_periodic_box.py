"""Fourier analysis against analytic derivatives, a fine grid and sums over the points."""

import math

import pytest
import torch

from fno_lightning.pdes.solvers.periodic_box import PeriodicBox

BOXES = [
    PeriodicBox((16,), (2.0,)),
    PeriodicBox((15,), (2.0,), lower=(-1.0,)),
    PeriodicBox((12, 16), (1.0, 3.0)),
    PeriodicBox((13, 15), (1.0, 3.0), lower=(-0.5, 0.0)),
    PeriodicBox((10, 12, 9), (1.0, 2.0, 0.5)),
]


def wave(box, numbers, shift=0.3):
    """sin(κ·x + shift), its gradient and its Laplacian, on the grid."""
    kappa = [2 * math.pi * m / length for m, length in zip(numbers, box.lengths, strict=True)]
    axes = torch.meshgrid(*box.coordinates, indexing="ij")
    phase = sum(k * x for k, x in zip(kappa, axes, strict=True)) + shift
    return phase.sin(), [k * phase.cos() for k in kappa], -sum(k * k for k in kappa) * phase.sin()


@pytest.mark.parametrize("box", BOXES, ids=lambda box: str(box.resolution))
def test_derivatives_of_waves_are_exact(box):
    field, gradient, laplacian = wave(box, (3, -2, 1)[: box.n_dims])
    spectrum = box.transform(field)
    torch.testing.assert_close(box.inverse(spectrum), field)
    for factor, expected in zip(box.derivatives, gradient, strict=True):
        torch.testing.assert_close(box.inverse(factor * spectrum), expected, rtol=0, atol=1e-11)
    torch.testing.assert_close(box.inverse(box.laplacian * spectrum), laplacian, rtol=0, atol=1e-10)
    torch.testing.assert_close(box.inverse(box.inverse_laplacian * box.transform(laplacian)), field)


@pytest.mark.parametrize("box", BOXES, ids=lambda box: str(box.resolution))
def test_points_start_at_the_lower_edge_and_leave_out_the_upper(box):
    lower = box.lower or (0.0,) * box.n_dims
    for x, start, length, n in zip(box.coordinates, lower, box.lengths, box.resolution, strict=True):
        torch.testing.assert_close(x, torch.tensor([start + i * length / n for i in range(n)], dtype=torch.float64))


def test_the_nyquist_frequency_has_no_first_derivative_but_a_second():
    box = PeriodicBox((8,), (1.0,))
    zigzag = torch.tensor([1.0, -1.0] * 4, dtype=torch.float64)
    spectrum = box.transform(zigzag)
    assert box.inverse(box.derivatives[0] * spectrum).abs().max() == 0
    torch.testing.assert_close(box.inverse(box.laplacian * spectrum), -((8 * math.pi) ** 2) * zigzag)


def test_the_inverse_laplacian_leaves_no_mean():
    box = PeriodicBox((6, 8), (1.0, 1.0))
    assert box.inverse(box.inverse_laplacian * box.transform(torch.full((6, 8), 3.0).double())).abs().max() == 0


@pytest.mark.parametrize("resolution", [(24,), (25,), (26,), (12, 15), (13, 18)])
def test_products_of_dealiased_fields_are_those_of_a_fine_grid(resolution):
    box = PeriodicBox(resolution, (1.0,) * len(resolution))
    fine = PeriodicBox(tuple(3 * n for n in resolution), box.lengths)
    fields = torch.randn(2, *resolution, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    kept = box.transform(fields) * box.dealiasing
    a, b = box.inverse(kept)
    product = box.transform(a * b) * box.dealiasing
    fine_a, fine_b = fine.inverse(onto(fine, box, kept))
    expected = fine.transform(fine_a * fine_b)
    torch.testing.assert_close(
        onto(fine, box, product), expected * onto(fine, box, box.dealiasing + 0j).real.clamp(0, 1)
    )
    aliased = box.transform(a * b)
    assert not torch.allclose(onto(fine, box, aliased * box._up_to(1.4)), expected, rtol=1e-3, atol=1e-6)


def onto(fine, box, spectrum):
    """The spectrum of the same function on a finer grid."""
    ratio = math.prod(fine.resolution) / math.prod(box.resolution)
    result = torch.zeros(*spectrum.shape[: -box.n_dims], *fine.laplacian.shape, dtype=torch.complex128)
    last = spectrum.shape[-1]
    if box.n_dims == 1:
        result[..., :last] = spectrum * ratio
        return result
    n = box.resolution[0]
    half = (n + 1) // 2
    result[..., :half, :last] = spectrum[..., :half, :] * ratio
    result[..., -(n - half) :, :last] = spectrum[..., half:, :] * ratio
    return result


@pytest.mark.parametrize("resolution", [(8,), (9,), (6, 8), (7, 9), (4, 5, 6)])
def test_inner_product_is_the_mean_over_the_points(resolution):
    box = PeriodicBox(resolution, (2.0,) * len(resolution))
    a, b = torch.randn(2, 3, *resolution, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = (a * b).flatten(1).mean(dim=1)
    torch.testing.assert_close(box.inner(box.transform(a), box.transform(b)), expected)


@pytest.mark.parametrize(("number", "share"), [(19, 0.0), (20, 0.8), (21, 0.8), (22, 0.0)])
def test_tail_is_the_share_of_the_highest_dealiased_frequencies(number, share):
    """Of 64 points 21 frequencies are kept, and those above 18.9 are the highest tenth; the mean does not count."""
    box = PeriodicBox((64,), (1.0,))
    x = 2 * math.pi * box.coordinates[0]
    field = 5 + (3 * x).sin() + 2 * (number * x).cos()
    expected = 0.8 if number == 19 else share
    assert box.tail(box.transform(field)[None, None]).item() == pytest.approx(expected, abs=1e-12)


def test_a_constant_has_no_tail():
    box = PeriodicBox((8, 8), (1.0, 1.0))
    assert box.tail(box.transform(torch.ones(1, 1, 8, 8, dtype=torch.float64))).item() == 0
