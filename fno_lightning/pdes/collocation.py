"""The residual of an evolution equation between stored frames."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

N_FRAMES = 4
"""Frames that the integral over an interval uses: the error falls as the fourth power of the time step, or fifth a
step."""


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
    if not 1 <= n_known < n_frames:
        raise ValueError(f"a residual needs a frame that is not known, got {n_frames} frames, {n_known} of them known")
    weights = torch.from_numpy(integration_weights(n_frames, N_FRAMES)[n_known - 1 :]).to(rates)
    with torch.autocast(rates.device.type, enabled=False):  # which would take the sum in half precision
        integrals = torch.einsum("it,bt...->bi...", time_step * weights, rates)
    return states[:, n_known:] - states[:, n_known - 1 : -1] - integrals


@lru_cache(maxsize=64)
def integration_weights(n_frames: int, n_used: int) -> np.ndarray:
    """Return the weights ``(interval, frame)`` of values at 0, 1, ... in the integral over each interval between them.

    Args:
        n_frames: Number of frames, at least 2.
        n_used: Number of nearest frames whose polynomial is integrated.
    """
    n_used = min(n_used, n_frames)
    weights = np.zeros((n_frames - 1, n_frames))
    for interval in range(n_frames - 1):
        first = min(max(interval + 1 - n_used // 2, 0), n_frames - n_used)
        at = np.arange(n_used, dtype=np.float64) + first - interval  # the interval is from 0 to 1
        powers = np.arange(n_used)
        weights[interval, first : first + n_used] = np.linalg.solve(at[None, :] ** powers[:, None], 1 / (powers + 1))
    return weights
