"""Gradient, divergence, curl and Laplacian."""

import math

import numpy as np
import pytest
import torch

from fno_lightning.derivatives import FiniteDifferences, FourierContinuation, GridDerivatives, Spectral


def grid(*axes):
    """Derivatives of one way on n points of [0, 1) along each axis, and the coordinates."""
    makers = {
        "spectral": lambda n: Spectral(n),
        "differences": lambda n: FiniteDifferences(tuple(np.arange(n) / n), accuracy=4),
        "continuation": lambda n: FourierContinuation(n, 1 / n, degree=6),
    }
    schemes = [makers[kind](n) for kind, n in axes]
    return GridDerivatives(schemes), torch.meshgrid(
        *(torch.arange(n, dtype=torch.float64) / n for _, n in axes), indexing="ij"
    )


def waves(*x):
    """A field that is periodic along the first axis, with its exact derivatives."""
    w = 2 * math.pi
    rest = sum(x[1:], torch.zeros_like(x[0]))
    f = torch.sin(w * x[0]) * torch.exp(rest)
    first = w * torch.cos(w * x[0]) * torch.exp(rest)
    gradient = torch.stack([first, *[f] * (len(x) - 1)])
    return f, gradient, (len(x) - 1 - w**2) * f


CASES = [
    (("spectral", 16),),
    (("spectral", 16), ("differences", 40)),
    (("spectral", 16), ("continuation", 48)),
    (("spectral", 12), ("differences", 24), ("continuation", 30)),
]


@pytest.mark.parametrize("axes", CASES)
def test_exact_derivatives(axes):
    derivatives, x = grid(*axes)
    f, gradient, laplacian = waves(*x)
    torch.testing.assert_close(derivatives.gradient(f), gradient, rtol=0, atol=2e-3)
    torch.testing.assert_close(derivatives.laplacian(f), laplacian, rtol=0, atol=5e-2)
    torch.testing.assert_close(derivatives.divergence(gradient), laplacian, rtol=0, atol=5e-2)


@pytest.mark.parametrize("axes", CASES[1:])
def test_identities_hold_to_round_off(axes):
    """Matrices along different axes commute: a gradient has no curl, a curl no divergence."""
    derivatives, x = grid(*axes)
    f, *_ = waves(*x)
    curl = derivatives.curl(derivatives.gradient(f))
    assert curl.shape == (x[0].shape if len(axes) == 2 else (3, *x[0].shape))
    torch.testing.assert_close(curl, torch.zeros_like(curl), rtol=0, atol=1e-9)
    if len(axes) == 3:
        vector = torch.stack([torch.sin(7 * x[1] * x[2]), x[0] * x[2] ** 2, torch.cos(x[0] - x[1])])
        divergence = derivatives.divergence(derivatives.curl(vector))
        torch.testing.assert_close(divergence, torch.zeros_like(divergence), rtol=0, atol=1e-8)


def test_the_curl_of_a_rotation():
    derivatives, (x, y) = grid(("differences", 12), ("differences", 9))
    torch.testing.assert_close(derivatives.curl(torch.stack([-y, x])), torch.full_like(x, 2.0))
    derivatives, (x, y, z) = grid(("differences", 8), ("differences", 9), ("differences", 10))
    curl = derivatives.curl(torch.stack([-y + z * y, x, x * y]))
    torch.testing.assert_close(curl, torch.stack([x, torch.zeros_like(x), 2 - z]), rtol=0, atol=1e-12)


def test_leading_axes_gradients_and_precision():
    derivatives, (x, y) = grid(("spectral", 8), ("differences", 9))
    f, *_ = waves(x, y)
    many = f.expand(2, 3, 8, 9).clone().requires_grad_()
    assert derivatives.gradient(many).shape == (2, 3, 2, 8, 9)
    assert torch.autograd.gradcheck(derivatives.laplacian, (f.clone().requires_grad_(),))
    with torch.autocast("cpu", torch.bfloat16):
        half = derivatives.partial(f.bfloat16(), 0)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, derivatives.partial(f.bfloat16().float(), 0))
    derivatives.gradient(many).sum().backward()
    assert torch.isfinite(many.grad).all()


def test_matrices_that_an_evaluation_has_made_serve_a_training():
    derivatives, (x, y) = grid(("spectral", 8), ("differences", 9))
    f, *_ = waves(x, y)
    with torch.inference_mode():
        expected = derivatives.partial(f, 0)
    field = f.clone().requires_grad_()
    found = derivatives.partial(field, 0)
    found.sum().backward()
    assert torch.equal(found, expected)


def test_other_grids_and_vectors_are_refused():
    derivatives, (x, y) = grid(("spectral", 8), ("differences", 9))
    with pytest.raises(ValueError, match=r"those of the grid \(8, 9\), got a field \(9, 8\)"):
        derivatives.partial(x.T, 0)
    with pytest.raises(ValueError, match=r"a vector field on 2 axes is \(..., 2, \*grid\), got \(3, 8, 9\)"):
        derivatives.divergence(torch.stack([x, y, x]))
    with pytest.raises(ValueError, match="a curl needs two or three axes"):
        grid(("spectral", 8))[0].curl(torch.zeros(1, 8))
