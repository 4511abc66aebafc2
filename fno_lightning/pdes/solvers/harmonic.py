r"""Harmonic functions in a domain with a smooth boundary, from their values there, by boundary integrals.

With the double-layer density :math:`\mu` the function is the real part of Cauchy's integral

.. math:: F(z) = \frac{1}{2 \pi i} \oint \frac{\mu(\zeta)}{\zeta - z}\, d\zeta

The trapezoidal rule on the boundary has an error that falls exponentially with the number of nodes. F is evaluated by
the quotient of two Cauchy sums of its boundary values, which is accurate up to the boundary.

References: Kress, Linear Integral Equations, section 12.2; Ioakimidis, Papadakis and Perdios 1991, BIT 31, 276.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor


class BoundaryCurve:
    """A closed curve, counter-clockwise and smooth, by its nodes at even values of a parameter from 0 to 2π.

    Args:
        nodes: Nodes as complex numbers, ``(batch, node)``.
    """

    def __init__(self, nodes: Complex[Tensor, "batch node"]) -> None:
        self.nodes = nodes
        self.first = derivative(nodes)
        self.second = derivative(self.first)

    def harmonic(
        self, values: Float[Tensor, "batch node"], places: Complex[Tensor, "batch place"]
    ) -> Float[Tensor, "batch place"]:
        """Return the harmonic function with these values at the nodes, at places within the curve, no nodes."""
        weight = 2 * math.pi / self.nodes.shape[1]
        difference = self.nodes[:, None] - self.nodes[:, :, None]
        difference.diagonal(dim1=1, dim2=2).fill_(1)
        kernel = (self.first[:, None] / difference).imag / (2 * math.pi)
        kernel.diagonal(dim1=1, dim2=2).copy_((self.second / self.first).imag / (4 * math.pi))
        identity = torch.eye(values.shape[1], dtype=values.dtype, device=values.device)
        density = torch.linalg.solve(identity / 2 + weight * kernel, values)
        quotient = (density[:, None] - density[:, :, None]) * self.first[:, None] / difference
        quotient.diagonal(dim1=1, dim2=2).copy_(derivative(density))
        analytic = density + quotient.sum(dim=2) * weight / (2j * math.pi)
        shares = self.first[:, None] / (self.nodes[:, None] - places[:, :, None])
        inside: Tensor = ((shares * analytic[:, None]).sum(dim=2) / shares.sum(dim=2)).real
        return inside


def derivative(values: Tensor) -> Tensor:
    """Return the derivative of periodic functions by the parameter, ``(batch, node)``."""
    n = values.shape[1]
    wave = torch.fft.fftfreq(n, 1 / n, device=values.device, dtype=values.real.dtype)
    if n % 2 == 0:
        wave[n // 2] = 0
    changed: Tensor = torch.fft.ifft(1j * wave * torch.fft.fft(values))
    return changed if values.is_complex() else changed.real
