"""Associated Legendre functions."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def associated_legendre(
    colatitude: Float[Tensor, " point"], n_degrees: int, n_orders: int
) -> Float[Tensor, "order degree point"]:
    r"""Return the normalised associated Legendre functions of degrees l < ``n_degrees``, orders m < ``n_orders``.

    .. math:: \bar P_l^m(\cos\theta) = \sqrt{(2l + 1) \frac{(l - m)!}{(l + m)!}} \, P_l^m(\cos\theta)

    without the sign :math:`(-1)^m`, and zero for l < m. The spherical harmonics
    :math:`Y_l^m = \bar P_l^m(\cos\theta)\, e^{i m \varphi}` have a mean square of 1 over the sphere, and
    :math:`Y_0^0 = 1`.

    By recurrence in the degree, which is stable, for all orders at once.

    Args:
        colatitude: θ, in radians.
        n_degrees: Number of degrees, at least 1.
        n_orders: Number of orders, at least 1.

    Reference: Holmes and Featherstone, J. Geodesy 76 (2002), eqs. 11-13; float64 underflows beyond degree 1900.

    >>> values = associated_legendre(torch.tensor([0.0, torch.pi / 2]), n_degrees=2, n_orders=2)
    >>> values[0, 1], values[1, 1]  # √3 cos θ and √(3/2) sin θ
    (tensor([ 1.7321e+00, ...], dtype=torch.float64), tensor([0.0000, 1.2247], dtype=torch.float64))
    """
    cosine, sine = colatitude.double().cos(), colatitude.double().sin()
    values = cosine.new_zeros(n_orders, n_degrees, len(cosine))
    values[0, 0] = 1.0
    epsilon = ladder(n_degrees, n_orders).to(cosine.device)
    for degree in range(1, n_degrees):
        if degree < n_orders:
            values[degree, degree] = values[degree - 1, degree - 1] * sine * (1 + 0.5 / degree) ** 0.5
        lower = slice(0, min(degree, n_orders))
        higher = cosine * values[lower, degree - 1]
        if degree > 1:
            higher = higher - epsilon[lower, degree - 1, None] * values[lower, degree - 2]
        values[lower, degree] = higher / epsilon[lower, degree, None]
    return values


def ladder(n_degrees: int, n_orders: int) -> Float[Tensor, "order degree"]:
    r"""Return :math:`\epsilon_l^m = \sqrt{(l^2 - m^2) / (4 l^2 - 1)}`, zero for l <= m, float64.

    .. math::
        \cos\theta \, \bar P_l^m &= \epsilon_{l+1}^m \bar P_{l+1}^m + \epsilon_l^m \bar P_{l-1}^m \\
        \sin\theta \, \partial_\theta \bar P_l^m &=
            l \, \epsilon_{l+1}^m \bar P_{l+1}^m - (l + 1) \, \epsilon_l^m \bar P_{l-1}^m
    """
    degree = torch.arange(n_degrees, dtype=torch.float64)
    order = torch.arange(n_orders, dtype=torch.float64)[:, None]
    return ((degree**2 - order**2).clamp(min=0) / (4 * degree**2 - 1).clamp(min=1)).sqrt()
