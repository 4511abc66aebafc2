import math

import pytest
import torch
from scipy.special import sph_harm_y

from fno_lightning.sphere import area_weights, associated_legendre, colatitudes, ladder

KINDS = ["equiangular", "equiangular_poles", "gauss_legendre"]


def test_functions_are_scipys_but_for_sign_and_norm():
    angles = torch.linspace(0, math.pi, 9, dtype=torch.float64)
    found = associated_legendre(angles, 12, 10)
    for order in range(10):
        for degree in range(12):
            expected = torch.zeros(9, dtype=torch.float64)
            if degree >= order:
                reference = sph_harm_y(degree, order, angles.numpy(), 0.0).real
                expected = torch.from_numpy(reference) * (-1) ** order * math.sqrt(4 * math.pi)
            torch.testing.assert_close(found[order, degree], expected, rtol=0, atol=1e-13)


def test_functions_of_high_degree_stay_orthonormal():
    angles, weights = colatitudes("gauss_legendre", 200), area_weights("gauss_legendre", 200)
    functions = associated_legendre(angles, 200, 200)[::57]
    found = torch.einsum("mlj,mkj,j->mlk", functions, functions, weights)
    for order, gram in zip(range(0, 200, 57), found, strict=True):
        expected = torch.eye(200, dtype=torch.float64)
        expected[:order] = 0
        torch.testing.assert_close(gram, expected, rtol=0, atol=1e-11)


def test_the_derivative_is_that_of_the_ladder():
    angle = torch.linspace(0.2, 3.0, 6, dtype=torch.float64)
    functions, epsilon = associated_legendre(angle, 8, 5), ladder(8, 5)
    difference = associated_legendre(angle + 1e-6, 8, 5) - associated_legendre(angle - 1e-6, 8, 5)
    degree = torch.arange(1, 7)[:, None]
    found = degree * epsilon[:, 2:8, None] * functions[:, 2:8] - (degree + 1) * epsilon[:, 1:7, None] * functions[:, :6]
    torch.testing.assert_close(found, angle.sin() * difference[:, 1:7] / 2e-6, rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_points", [2, 3, 8, 9, 64])
def test_weights_integrate_polynomials_exactly(kind, n_points):
    height, weights = colatitudes(kind, n_points).cos(), area_weights(kind, n_points)
    assert (weights > 0).all()
    for degree in range(2 * n_points if kind == "gauss_legendre" else n_points):
        expected = 1 / (degree + 1) if degree % 2 == 0 else 0.0
        assert float(weights @ height**degree) == pytest.approx(expected, abs=1e-14)


def test_weights_are_those_of_torch_harmonics():
    quadrature = pytest.importorskip("torch_harmonics").quadrature
    for kind, theirs in (
        ("gauss_legendre", quadrature.legendre_gauss_weights),
        ("equiangular_poles", quadrature.clenshaw_curtiss_weights),
    ):
        torch.testing.assert_close(area_weights(kind, 17) * 2, torch.as_tensor(theirs(17)[1]).double().flip(0))


def test_too_few_latitudes_are_refused():
    with pytest.raises(ValueError, match="at least two latitudes"):
        colatitudes("equiangular", 1)
