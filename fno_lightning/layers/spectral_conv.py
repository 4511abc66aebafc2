"""Spectral convolution in any number of dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers.basis import Basis
from fno_lightning.layers.chebyshev import ChebyshevBasis
from fno_lightning.layers.conditioning import SpectralModulation
from fno_lightning.layers.fourier import FourierBasis, HalfFourierBasis
from fno_lightning.layers.half_waves import HalfWaveBasis
from fno_lightning.layers.spectral_weight import DenseWeight, SpectralWeight
from fno_lightning.layers.transform import SpectralTransform
from fno_lightning.slabs import whole_grid

BasisName = Literal["fourier", "cosine", "sine", "sine_cosine", "cosine_sine", "chebyshev", "chebyshev_lobatto"]

BASES: Mapping[str, Basis] = {
    "cosine": HalfWaveBasis("even", "even"),
    "sine": HalfWaveBasis("odd", "odd"),
    "sine_cosine": HalfWaveBasis("odd", "even"),
    "cosine_sine": HalfWaveBasis("even", "odd"),
    "chebyshev": ChebyshevBasis("gauss"),
    "chebyshev_lobatto": ChebyshevBasis("lobatto"),
}
"""Bases of axes that end, by name. Those of two functions name that of the lower end first."""


class SpectralConv(nn.Module):
    r"""Convolution: multiplication of every kept mode by a matrix of its own between the channels; channels last.

    .. math:: y = S\,(W_k\,(A\,x)_k) + b

    with the analysis A, the synthesis S and one matrix :math:`W_k` for each mode k. The same weight serves grids of any
    shape; modes that a coarse grid does not resolve are left out.

    All products, the transforms included, run in the precision of the input or, under autocast, of the region: with
    bfloat16 autocast, this layer in float32 would not bring output and gradient of a network closer to float32.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        n_modes: Modes to keep along each axis. Fourier counts both signs, so that n modes reach n / 2 waves; the last
            Fourier axis stores the n // 2 + 1 non-negative ones. The others store n, which reach n / 2 waves too.
        bases: Basis of each axis: ``fourier`` for periodic axes, for axes that end one of :data:`BASES` (or a
            :class:`Basis`); Fourier everywhere by default. Of a basis without a constant, such as ``sine``, what the
            convolution makes is zero at the ends, but for ``bias``.
        weight: Class of the weight, called with the input channels, the output channels, the numbers of stored
            coefficients and whether they are complex.
        bias: Add a constant to each channel.
        filter_order: Damp the shortest kept waves by the exponential filter :math:`e^{-36 (k / k_{max})^p}` of this
            order p along each axis, an even number such as 8; ``None``: no filter. What a network makes of the waves at
            its cut-off comes back at every step of a rollout, and may grow; Hou and Li 2007, J. Comput. Phys. 226,
            eq. 14, with p = 36 for spectral solvers.
        n_conditions: Number of parameters of each sample that scale the coefficients before the multiplication, see
            :class:`SpectralModulation`; 0: there are none.

    Raises:
        ValueError: if the numbers of modes and of bases differ, or a number of modes or ``filter_order`` is not
            positive.

    Reference: Li et al. 2021, arXiv:2010.08895, sec. 4.

    >>> conv = SpectralConv(in_channels=3, out_channels=5, n_modes=(8, 6), bases=("fourier", "cosine"))
    >>> conv(torch.zeros(2, 32, 24, 3)).shape
    torch.Size([2, 32, 24, 5])
    >>> conv.weight.kernel.shape  # (8 // 2 + 1, 6) coefficients, a complex matrix for each
    torch.Size([5, 6, 3, 5, 2])
    """

    transform_class: ClassVar[type[SpectralTransform]] = SpectralTransform

    gain: Tensor | None
    kept_modes: tuple[int, ...]
    """Modes of each axis that are used; all, unless :meth:`keep_modes` has changed that."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        n_modes: Sequence[int],
        *,
        bases: Sequence[BasisName | Basis] | None = None,
        weight: Callable[..., SpectralWeight] = DenseWeight,
        bias: bool = True,
        filter_order: int | None = None,
        n_conditions: int = 0,
    ) -> None:
        super().__init__()
        axes = axis_bases(bases or ["fourier"] * len(n_modes))
        if len(axes) != len(n_modes):
            raise ValueError(f"expected one basis for each entry of n_modes {tuple(n_modes)}, got {tuple(bases or ())}")
        if min(n_modes, default=0) < 1:
            raise ValueError(f"n_modes must be positive numbers, one for each axis, got {tuple(n_modes)}")
        n_coefficients = [basis.n_coefficients(n) for basis, n in zip(axes, n_modes, strict=True)]
        self.n_modes = tuple(n_modes)
        self.kept_modes = self.n_modes
        self.filter_order = filter_order
        self.transform = self.transform_class(axes, n_coefficients)
        self.weight = weight(in_channels, out_channels, n_coefficients, is_complex=self.transform.is_complex)
        self.modulation = SpectralModulation(n_conditions, in_channels, n_coefficients) if n_conditions else None
        std = math.sqrt(2 / (in_channels + out_channels))
        self.bias = nn.Parameter(std * torch.randn(out_channels)) if bias else None
        gain = None if filter_order is None else self._filter(n_coefficients, filter_order)
        self.register_buffer("gain", gain, persistent=False)

    def forward(
        self,
        x: Float[Tensor, "batch *grid in_channels"],
        conditions: Float[Tensor, "batch *one condition"] | None = None,
    ) -> Float[Tensor, "batch *grid out_channels"]:
        """Apply the convolution, with the parameters of each sample if it has any."""
        grid = whole_grid(x.shape[1:-1])
        coefficients, modes = self.transform.analysis(x), self.transform.resolved(grid)
        if self.modulation is not None:
            coefficients = self.modulation(coefficients, conditions, modes)
        coefficients = self.weight(coefficients, modes)
        if self.gain is not None:
            coefficients = coefficients * self.gain[modes].unsqueeze(-1).to(coefficients.dtype)
        if self.bias is None:
            return self.transform.synthesis(coefficients, grid)
        if all(basis.has_constant for basis in self.transform.bases):
            self._add_to_mean_(coefficients, self.bias)
            return self.transform.synthesis(coefficients, grid)
        y = self.transform.synthesis(coefficients, grid)
        return y + self.bias.to(y.dtype)

    @torch.no_grad()
    def keep_modes(self, n_modes: Sequence[int]) -> None:
        """Use so many modes of each axis, the lowest, as a layer that was built with them and the same weights.

        The weight stays whole, so that an optimizer keeps its state; the modes that are not used cost neither
        products nor transforms, and their gradient is zero.

        Raises:
            ValueError: if there is not one number for each axis, from 1 to the modes that the layer has.
        """
        if len(n_modes) != len(self.n_modes) or not all(
            1 <= n <= most for n, most in zip(n_modes, self.n_modes, strict=True)
        ):
            raise ValueError(f"a layer with n_modes {self.n_modes} cannot use {tuple(n_modes)} of them")
        self.kept_modes = tuple(n_modes)
        bases = self.transform.bases
        self.transform.keep([basis.n_coefficients(n) for basis, n in zip(bases, n_modes, strict=True)])
        if self.gain is not None and self.filter_order is not None:
            gain = self._filter(self.transform.n_kept, self.filter_order)
            self.gain.zero_()[self.transform.kept] = gain.to(self.gain)

    @torch.no_grad()
    def zero_unused_modes_(self) -> None:
        """Set the weight to zero at the modes that are not used: when they are, nothing changes at first."""
        for axis, kept in enumerate(self.transform.kept):
            factor, dim = self.weight.factor_of(axis)
            modes = factor.movedim(dim, 0)
            modes[: kept.start] = 0
            modes[kept.stop :] = 0

    def gradient_strength(self, axis: int) -> Float[Tensor, " wave"] | None:
        """Return the squared norm of the weight's gradient at each used wave number of an axis; ``None``: no gradient.

        Of a dense weight these are the entries of a wave number and its negative, over all modes of the other axes and
        all channels; of a low-rank weight those of the axis' own factor.
        """
        factor, dim = self.weight.factor_of(axis)
        if factor.grad is None:
            return None
        kept, n_kept = self.transform.kept[axis], self.transform.n_kept[axis]
        by_mode = factor.grad.movedim(dim, 0)[kept].flatten(1).float().square().sum(dim=1)
        waves = (torch.arange(n_kept, device=by_mode.device) - self.transform.bases[axis].longest(n_kept)).abs()
        return by_mode.new_zeros(int(waves.max()) + 1).index_add(0, waves, by_mode)

    def _filter(self, n_coefficients: Sequence[int], order: int) -> Float[Tensor, "*mode"]:
        """Return the factor of each of so many modes."""
        return exponential_filter(self.transform.bases, n_coefficients, order)

    def _add_to_mean_(
        self, coefficients: Float[Tensor, "batch part *mode channel"], bias: Float[Tensor, " channel"]
    ) -> None:
        """Add to the coefficient of the constant function, in place: all others would be copied for nothing."""
        mean = coefficients[:, 0]
        for basis, n_coefficients in zip(self.transform.bases, coefficients.shape[2:-1], strict=True):
            mean = mean.select(1, basis.longest(n_coefficients))
        mean += bias


def exponential_filter(bases: Sequence[Basis], n_coefficients: Sequence[int], order: int) -> Float[Tensor, "*mode"]:
    """Return the factor of each stored mode: 1 for the longest wave, round-off for the shortest along an axis.

    Raises:
        ValueError: if ``order`` is not positive.
    """
    if order < 1:
        raise ValueError(f"the order of a filter is at least 1, got {order}")
    factors = []
    for basis, n in zip(bases, n_coefficients, strict=True):
        waves = (torch.arange(n, dtype=torch.float64) - basis.longest(n)).abs()
        factors.append(torch.exp(-36 * (waves / waves.max().clamp(min=1)) ** order))
    return torch.stack(torch.meshgrid(*factors, indexing="ij")).prod(dim=0).float()


def axis_bases(names: Sequence[BasisName | Basis]) -> list[Basis]:
    """Return the basis of each axis; the last Fourier axis keeps half of the spectrum, because the field is real."""
    half = max((axis for axis, name in enumerate(names) if name == "fourier"), default=None)
    bases: list[Basis] = []
    for axis, name in enumerate(names):
        if isinstance(name, Basis):
            bases.append(name)
        elif name == "fourier":
            bases.append(HalfFourierBasis() if axis == half else FourierBasis())
        elif name in BASES:
            bases.append(BASES[name])
        else:
            raise ValueError(
                f"unknown basis {name!r} for axis {axis}: expected 'fourier', {', '.join(map(repr, BASES))} or a Basis"
            )
    return bases
