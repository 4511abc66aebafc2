"""Advection on a periodic box: non-linear terms from spectrum to spectrum, free of aliasing errors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Complex
from torch import Tensor

from fno_lightning.pdes.solvers.periodic_box import PeriodicBox


def steepening(box: PeriodicBox) -> Callable[[Tensor], Tensor]:
    """Return the map from the spectrum of u to that of -∂x ½u², on one axis: waves steepen."""
    slope = -0.5 * box.derivatives[0] * box.dealiasing

    def rate(spectrum: Tensor) -> Tensor:
        return slope * box.transform(box.inverse(box.dealiasing * spectrum).square())

    return rate


class VorticityAdvection:
    r"""The spectrum of :math:`-u \cdot \nabla \omega` from that of ω, with four transforms.

    It is the curl of the momentum flux, :math:`(\partial_y^2 - \partial_x^2)(u v) + \partial_x \partial_y (u^2 - v^2)`:
    two fields to physical space and two back (Basdevant, J. Comput. Phys. 50, 1983).

    Args:
        box: The grid.
    """

    def __init__(self, box: PeriodicBox) -> None:
        self._box = box
        x, y = box.derivatives
        stream = -box.inverse_laplacian * box.dealiasing
        self._velocity = torch.stack([y * stream, -x * stream])
        self._of_uv = ((y**2 - x**2) * box.dealiasing).to(stream.dtype.to_complex())
        self._of_squares = x * y * box.dealiasing

    def __call__(self, vorticity: Complex[Tensor, "batch 1 x frequency"]) -> Complex[Tensor, "batch 1 x frequency"]:
        """Rate of change."""
        velocity = self._box.inverse(self._velocity * vorticity)
        u, v = velocity.unbind(dim=1)
        spectra = self._box.transform(torch.stack([u * v, (u - v) * (u + v)], dim=1))
        return self._of_uv * spectra[:, :1] + self._of_squares * spectra[:, 1:]
