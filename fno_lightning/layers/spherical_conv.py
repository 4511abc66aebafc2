"""Spectral convolution on the sphere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers.fourier import HalfFourierBasis
from fno_lightning.layers.legendre import LegendreBasis
from fno_lightning.layers.spectral_conv import SpectralConv, exponential_filter
from fno_lightning.layers.spectral_weight import DenseWeight, Modes, SpectralWeight
from fno_lightning.layers.spherical_transform import SphericalTransform
from fno_lightning.sphere import LatitudeName


class SphericalConv(SpectralConv):
    r"""Convolution on the sphere: multiplication of every spherical harmonic by a matrix between the channels.

    .. math:: y_l^m = W_l \, x_l^m

    with one real matrix :math:`W_l` for each degree, shared by its orders. These are all linear maps between scalar
    fields that commute with rotations: a convolution with zonal kernels, which does not know where the poles are.
    Otherwise a :class:`SpectralConv`, in any precision and at any resolution; degrees and orders that a grid does not
    resolve are left out.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        n_modes: Degrees to keep along the latitude, 0 to n - 1, and waves along the longitude, both signs counted, as
            in :class:`SpectralConv`: n of them are the orders 0 to n // 2. Twice as many waves as degrees, or two less,
            truncate triangularly, so that the kept harmonics are the same in every direction.
        latitudes: Kind of the points along the first axis, see :data:`~fno_lightning.sphere.LatitudeName`.
        by_order: Give each order a complex matrix of its own, :math:`W_l^m`, which commutes with rotations about the
            axis alone; its parameters for l < m are not used.
        weight: Class of the weight, see :class:`SpectralConv`.
        bias: Add a constant to each channel.
        filter_order: Damp the highest degrees, see :class:`SpectralConv`.
        n_conditions: Number of parameters of each sample that scale the coefficients, see :class:`SpectralConv`.

    Raises:
        ValueError: if ``n_modes`` are not two positive numbers, or ``filter_order`` is not positive.

    Reference: Driscoll and Healy, Adv. Appl. Math. 15 (1994), theorem 1; Bonev et al. 2023, arXiv:2306.03838, whose
    matrices are complex, which turns a field about the axis beside.

    >>> conv = SphericalConv(in_channels=3, out_channels=5, n_modes=(16, 30))
    >>> conv(torch.zeros(2, 24, 48, 3)).shape
    torch.Size([2, 24, 48, 5])
    >>> conv.weight.shared.kernel.shape
    torch.Size([16, 3, 5, 1])
    """

    transform_class: ClassVar[type[SphericalTransform]] = SphericalTransform

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        n_modes: Sequence[int],
        *,
        latitudes: LatitudeName = "equiangular",
        by_order: bool = False,
        weight: Callable[..., SpectralWeight] = DenseWeight,
        bias: bool = True,
        filter_order: int | None = None,
        n_conditions: int = 0,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            n_modes,
            bases=[LegendreBasis(latitudes), HalfFourierBasis()],
            weight=weight if by_order else partial(DegreeWeight, weight=weight),
            bias=bias,
            filter_order=filter_order,
            n_conditions=n_conditions,
        )
        self.by_order = by_order

    @torch.no_grad()
    def zero_unused_modes_(self) -> None:
        """Set the weight to zero at the degrees, and the orders if they have weights, that are not used."""
        if self.by_order:
            super().zero_unused_modes_()
            return
        factor, dim = self.weight.factor_of(0)
        factor.movedim(dim, 0)[self.transform.kept[0].stop :] = 0

    def _filter(self, n_coefficients: Sequence[int], order: int) -> Float[Tensor, "degree order"]:
        """Return the factor of each mode, the same for all orders of a degree."""
        n_degrees, n_orders = n_coefficients
        of_degrees = exponential_filter(self.transform.bases[:1], [n_degrees], order)
        return of_degrees[:, None].repeat(1, n_orders)


class DegreeWeight(SpectralWeight):
    """One real matrix between the channels for each degree, shared by its orders.

    Args:
        in_channels: Channels of the coefficients.
        out_channels: Channels of the result.
        n_coefficients: Number of stored degrees and orders.
        is_complex: Whether the coefficients are complex, which makes no difference.
        weight: Class of the weight with one mode for each degree.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        n_coefficients: Sequence[int],
        *,
        is_complex: bool = True,
        weight: Callable[..., SpectralWeight] = DenseWeight,
    ) -> None:
        super().__init__(in_channels, out_channels, n_coefficients, is_complex=False)
        self.shared = weight(in_channels, out_channels, n_coefficients[:1], is_complex=False)

    def factor_of(self, axis: int) -> tuple[nn.Parameter, int]:
        """Return the weight of the degrees; the order m acts through the degrees l >= m."""
        return self.shared.factor_of(0)

    def dense(self, modes: Modes) -> Float[Tensor, "degree 1 channel out 1"]:
        """Return the matrices of the resolved degrees."""
        return self.shared.dense(modes[:1]).unsqueeze(1)

    def forward(
        self, coefficients: Float[Tensor, "batch part degree order channel"], modes: Modes
    ) -> Float[Tensor, "batch part degree order out"]:
        """Multiply the coefficients of every degree by its matrix: parts and orders are samples to it."""
        samples = coefficients.movedim(3, 1)
        mixed: Tensor = self.shared(samples.flatten(0, 2).unsqueeze(1), modes[:1])
        return torch.unflatten(mixed.squeeze(1), 0, samples.shape[:3]).movedim(1, 3)
