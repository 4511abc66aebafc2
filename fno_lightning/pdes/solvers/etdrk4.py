"""Exponential time differencing: stiff linear terms exactly, the others by a Runge-Kutta method."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

N_CONTOUR_POINTS = 64


class ETDRK4:
    r"""Fourth-order integrator of :math:`\partial_t u = L u + N(u)` with diagonal L.

    With :math:`E = e^{L \Delta t}`, a step has four stages, and coefficients that are divided differences of the
    exponential, which cancel where :math:`L \Delta t` is small; they are evaluated as means over a circle in the
    complex plane. The linear term alone is exact. u is complex: Fourier coefficients.

    Reference: Cox and Matthews, J. Comput. Phys. 176 (2002), eqs. 26-29; Kassam and Trefethen, SIAM J. Sci. Comput. 26
    (2005), section 3.

    Args:
        linear: L, real or complex, shaped to multiply u.
        nonlinear: N.
        dt: Δt.
    """

    def __init__(self, linear: Tensor, nonlinear: Callable[[Tensor], Tensor], dt: float) -> None:
        self.nonlinear = nonlinear
        z = linear.to(torch.complex128 if linear.is_complex() else torch.float64) * dt
        phi = _Means(z)

        def coefficient(values: Tensor) -> Tensor:
            return values.to(linear.dtype.to_complex())

        self._exp, self._exp_half = coefficient(torch.exp(z)), coefficient(torch.exp(z / 2))
        self._half = coefficient(dt * phi.mean(lambda r: (torch.exp(r / 2) - 1) / r))
        self._first = coefficient(dt * phi.mean(lambda r: (-4 - r + torch.exp(r) * (4 - 3 * r + r**2)) / r**3))
        self._middle = coefficient(2 * dt * phi.mean(lambda r: (2 + r + torch.exp(r) * (r - 2)) / r**3))
        self._last = coefficient(dt * phi.mean(lambda r: (-4 - 3 * r - r**2 + torch.exp(r) * (4 - r)) / r**3))

    def step(self, u: Tensor) -> Tensor:
        """Advance u by Δt."""
        decayed = self._exp_half * u
        n_u = self.nonlinear(u)
        a = torch.addcmul(decayed, self._half, n_u)
        n_a = self.nonlinear(a)
        b = torch.addcmul(decayed, self._half, n_a)
        n_b = self.nonlinear(b)
        c = (self._exp_half * a).addcmul_(self._half, 2 * n_b - n_u)
        n_c = self.nonlinear(c)
        end = (self._exp * u).addcmul_(self._first, n_u)
        return end.addcmul_(self._middle, n_a + n_b).addcmul_(self._last, n_c)


class EqualSteps:
    """Steps of :class:`ETDRK4` that divide a duration equally, none longer than allowed.

    Args:
        linear: L.
        nonlinear: N.
        longest: Upper bound of Δt.
    """

    def __init__(self, linear: Tensor, nonlinear: Callable[[Tensor], Tensor], longest: float) -> None:
        self._linear, self._nonlinear, self._longest = linear, nonlinear, longest
        self._steppers: dict[float, ETDRK4] = {}

    def states(self, u: Tensor, duration: float) -> Iterator[tuple[Tensor, float]]:
        """Yield u after each step, and Δt; nothing if the duration is 0."""
        n_steps = math.ceil(duration / self._longest - 1e-9)
        for _ in range(n_steps):
            dt = duration / n_steps
            if dt not in self._steppers:
                self._steppers[dt] = ETDRK4(self._linear, self._nonlinear, dt)
            u = self._steppers[dt].step(u)
            yield u, dt


class _Means:
    """Means of analytic functions over circles about given points, which are the functions' values there.

    Radii are 2 near zero and 1 elsewhere, so that no circle comes closer than 1/2 to zero, where the formulas cancel.
    """

    def __init__(self, centres: Tensor) -> None:
        self._centres = centres
        self._radii = 1 + (centres.abs() < 1.5).double()
        angle = 2 * math.pi * (torch.arange(N_CONTOUR_POINTS, dtype=torch.float64) + 0.5) / N_CONTOUR_POINTS
        self._circle = torch.polar(torch.ones_like(angle), angle).to(centres.device)

    def mean(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        total = torch.zeros_like(self._centres, dtype=torch.complex128)
        for point in self._circle:
            total = total + function(self._centres + self._radii * point)
        mean = total / len(self._circle)
        return mean if self._centres.is_complex() else mean.real
