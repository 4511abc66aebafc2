"""The residual of an evolution equation between stored frames."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

N_FRAMES = 4
"""Frames that the integral over an interval uses: the error falls as the fourth power of the time step, or fifth a
step."""
LARGE = 4.0
"""Exponents from which the recursion of the moments loses nothing, and below which Gauss's rule is exact."""
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(16)
"""Gauss's rule on [-1, 1]."""


def collocation_residual(
    states: Float[Tensor, "batch time equation *grid"],
    rates: Float[Tensor, "batch time equation *grid"],
    time_step: float,
    n_known: int = 1,
) -> Float[Tensor, "batch interval equation *grid"]:
    r"""Return what the change of a state between frames lacks of the integral of its rate.

    .. math:: u_{n+1} - u_n - \int_{t_n}^{t_{n+1}} F(u(t))\, dt

    with the integral of the polynomial through the rates of the nearest four frames, or of all if there are fewer. It
    has the units of the state, and needs no derivative in time.

    Args:
        states: u of each frame.
        rates: F(u) of each frame.
        time_step: Time between two frames.
        n_known: Number of first frames whose intervals between themselves are left out.

    Raises:
        ValueError: if there is no interval.

    Reference: Dutt, Greengard and Rokhlin 2000, BIT 40, 241-266 (spectral deferred correction).
    """
    n_frames = states.shape[1]
    require_unknown_frame(n_frames, n_known)
    weights = torch.from_numpy(integration_weights(n_frames, N_FRAMES)[n_known - 1 :]).to(rates)
    with torch.autocast(rates.device.type, enabled=False):  # which would take the sum in half precision
        integrals = torch.einsum("it,bt...->bi...", time_step * weights, rates)
    return states[:, n_known:] - states[:, n_known - 1 : -1] - integrals


def exponential_residual(
    states: Complex[Tensor, " time *mode"],
    nonlinear: Complex[Tensor, " time *mode"],
    linear: Tensor,
    time_step: float,
    n_known: int = 1,
) -> Complex[Tensor, " interval *mode"]:
    r"""Return the same of an equation :math:`\partial_t u = L u + N(u)`, with L integrated exactly.

    .. math:: u_{n+1} - e^{L \Delta t} u_n - \int_{t_n}^{t_{n+1}} e^{L (t_{n+1} - t)} N(u(t))\, dt

    with the polynomial through the nearest values of N alone, so that fast decay of short waves does no harm, as in
    :class:`~fno_lightning.pdes.solvers.ETDRK4`.

    Args:
        states: u of each frame, in modes where L is a number each.
        nonlinear: N(u) of each frame.
        linear: L, which broadcasts with a frame.
        time_step: Time between two frames.
        n_known: See :func:`collocation_residual`.

    Raises:
        ValueError: if there is no interval.

    Reference: Hochbruck and Ostermann 2010, Acta Numerica 19, 209-286, section 2.
    """
    n_frames = len(states)
    require_unknown_frame(n_frames, n_known)
    coefficients = torch.from_numpy(interpolation_coefficients(n_frames, N_FRAMES)[n_known - 1 :]).to(states)
    polynomials = torch.einsum("imt,t...->im...", coefficients, nonlinear)
    moments = exponential_moments(time_step * linear, coefficients.shape[1])
    integrals = sum(time_step * moment * polynomials[:, m] for m, moment in enumerate(moments))
    return states[n_known:] - torch.exp(time_step * linear) * states[n_known - 1 : -1] - integrals


def exponential_moments(z: Tensor, n_moments: int) -> list[Tensor]:
    r"""Return :math:`\int_0^1 e^{z (1 - s)} s^m ds` for m = 0, 1, ...: by recursion for large z, else Gauss's rule."""
    s, w = (NODES + 1) / 2, NODE_WEIGHTS / 2
    is_large = z.abs() > LARGE
    safe = torch.where(is_large, z, torch.ones_like(z))
    powers = [torch.exp(torch.where(is_large, torch.zeros_like(z), z) * (1 - node)) for node in s.tolist()]
    moments: list[Tensor] = []
    for m in range(n_moments):
        by_rule = sum(
            weight * node**m * power for weight, node, power in zip(w.tolist(), s.tolist(), powers, strict=True)
        )
        before = torch.exp(safe) if m == 0 else m * moments[-1]
        moments.append(torch.where(is_large, (before - 1) / safe, by_rule))
    return moments


def require_unknown_frame(n_frames: int, n_known: int) -> None:
    """Check that there is an interval with a residual.

    Raises:
        ValueError: if there is none.
    """
    if not 1 <= n_known < n_frames:
        raise ValueError(f"a residual needs a frame that is not known, got {n_frames} frames, {n_known} of them known")


def integration_weights(n_frames: int, n_used: int) -> np.ndarray:
    """Return the weights ``(interval, frame)`` of values at 0, 1, ... in the integral over each interval between them.

    Args:
        n_frames: Number of frames, at least 2.
        n_used: Number of nearest frames whose polynomial is integrated.
    """
    coefficients = interpolation_coefficients(n_frames, n_used)
    weights: np.ndarray = np.einsum("imt,m->it", coefficients, 1 / (1 + np.arange(coefficients.shape[1])))
    return weights


@lru_cache(maxsize=64)
def interpolation_coefficients(n_frames: int, n_used: int) -> np.ndarray:
    """Return the coefficients of the polynomials through the nearest values: ``(interval, power, frame)``.

    Their argument is 0 at the beginning of the interval and 1 at its end.
    """
    n_used = min(n_used, n_frames)
    coefficients = np.zeros((n_frames - 1, n_used, n_frames))
    for interval in range(n_frames - 1):
        first = min(max(interval + 1 - n_used // 2, 0), n_frames - n_used)
        at = np.arange(n_used, dtype=np.float64) + first - interval
        coefficients[interval, :, first : first + n_used] = np.linalg.inv(at[:, None] ** np.arange(n_used))
    return coefficients
