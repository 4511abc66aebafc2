"""Truncated spectral transforms as products with small dense matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.layers.basis import Basis
from fno_lightning.layers.fourier import HalfFourierBasis

_SMALLEST_FFT = 64
"""Stored modes of a one-dimensional field from which an FFT is cheaper than a product."""


class SpectralTransform:
    r"""Field to the coefficients of the kept modes and back, one basis for each axis, channels last.

    Of N points along an axis an FNO keeps m ≪ N modes. An FFT computes all N of them, in complex numbers; here each
    axis is one real matrix product that computes the m kept ones, exact for any N, in any floating-point type and in
    one graph under :func:`torch.compile`. Complex coefficients are real pairs: analysis of a complex axis is

    .. math:: \begin{pmatrix} \Re z \\ \Im z \end{pmatrix} =
        \begin{pmatrix} \Re A & -\Im A \\ \Im A & \Re A \end{pmatrix}
        \begin{pmatrix} \Re x \\ \Im x \end{pmatrix}

    without the second column while the field is still real. The axis with the fewest coefficients goes first, the last
    axis among equals, for the first product reads the whole field; so the data stay contiguous in the usual case of
    equal numbers of modes.

    The cost of the products grows with the number of modes, that of an FFT does not. Forward and backward over 1024
    points of 64 channels, products and FFT took 3.0 and 5.4 ms for 32 modes, 6.8 and 6.5 for 64, 13 and 6.6 for 128
    (batch 8, float32, one core of a Zen 5, torch 2.13). So one-dimensional periodic fields go through an FFT from 64
    stored modes on, on a CPU, in float32 and float64, outside compiled graphs, which cannot fuse complex numbers. In
    two dimensions products were never slower: 17 and 191 ms for 16 × 16 modes on 128 × 384 points, 167 and 188 ms for
    128 × 192 modes. On a GPU neither was measured, and products are taken.

    Args:
        bases: Basis of each axis.
        n_coefficients: Number of stored coefficients of each axis.
    """

    def __init__(self, bases: Sequence[Basis], n_coefficients: Sequence[int]) -> None:
        self.bases = tuple(bases)
        self.n_coefficients = tuple(n_coefficients)
        self.is_complex = any(basis.is_complex for basis in self.bases)
        cost = [n * (1 + basis.is_complex) for basis, n in zip(self.bases, self.n_coefficients, strict=True)]
        self._order = sorted(range(len(cost)), key=lambda axis: (cost[axis], -axis))

    def resolved(self, grid: Sequence[int]) -> tuple[slice, ...]:
        """Those of the stored coefficients that a grid of this shape can tell apart."""
        return tuple(b.resolved(m, n) for b, m, n in zip(self.bases, self.n_coefficients, grid, strict=True))

    def analysis(self, field: Float[Tensor, "batch *grid channel"]) -> Float[Tensor, "batch part *mode channel"]:
        """Coefficients of the resolved modes; two parts, real and imaginary, if any basis is complex, else one."""
        grid = field.shape[1:-1]
        modes = self.resolved(grid)
        if self._fft_pays(modes[0], field):
            spectrum = torch.fft.rfft(field, dim=1, norm="forward")[:, modes[0]]
            return torch.view_as_real(spectrum).movedim(-1, 1)
        part = 1
        field = field.unsqueeze(part)
        for axis in self._order:
            basis, n_modes = self.bases[axis], modes[axis].stop - modes[axis].start
            n_parts = field.shape[part] if basis.is_complex else 1
            matrix = _matrix(analysis_matrix, basis, grid[axis], n_modes, n_parts, field)
            if basis.is_complex:
                pairs = field.movedim(part, axis + 2).flatten(axis + 1, axis + 2)
                field = torch.unflatten(_contract(matrix, pairs, axis + 1), axis + 1, (2, n_modes))
                part = axis + 1
            else:
                field = _contract(matrix, field, axis + 1 + (part <= axis + 1))
        return field.movedim(part, 1)

    def synthesis(
        self, coefficients: Float[Tensor, "batch part *mode channel"], grid: Sequence[int]
    ) -> Float[Tensor, "batch *grid channel"]:
        """The field on a grid of this shape; the real part if any basis is complex."""
        modes = coefficients.shape[2:-1]
        if self._fft_pays(slice(modes[0]), coefficients):
            spectrum = torch.view_as_complex(coefficients.movedim(1, -1).contiguous())
            values: Tensor = torch.fft.irfft(spectrum, grid[0], dim=1, norm="forward")
            return values
        n_complex = sum(basis.is_complex for basis in self.bases)
        part = 1
        field = coefficients
        for axis in reversed(self._order):
            basis = self.bases[axis]
            n_complex -= basis.is_complex
            n_parts = 2 if basis.is_complex and n_complex > 0 else 1
            matrix = _matrix(synthesis_matrix, basis, grid[axis], modes[axis], n_parts, field)
            if basis.is_complex:
                pairs = field.movedim(part, axis + 1).flatten(axis + 1, axis + 2)
                field = torch.unflatten(_contract(matrix, pairs, axis + 1), axis + 1, (grid[axis], n_parts))
                part = axis + 2
            else:
                field = _contract(matrix, field, axis + 1 + (part <= axis + 1))
        return field.squeeze(part)

    def _fft_pays(self, modes: slice, values: Tensor) -> bool:
        return (
            len(self.bases) == 1
            and isinstance(self.bases[0], HalfFourierBasis)
            and modes.stop - (modes.start or 0) >= _SMALLEST_FFT
            and values.device.type == "cpu"
            and values.dtype in (torch.float32, torch.float64)
            and not torch.compiler.is_compiling()
        )


def analysis_matrix(
    basis: Basis, n_points: int, n_modes: int, n_parts: int, device: torch.device
) -> Float[Tensor, "row column"]:
    """Analysis of a real (``n_parts`` 1) or complex (2) field as one real matrix, float64."""
    analysis = basis.analysis(n_points, n_modes, device)
    if n_parts == 1:
        return analysis.flatten(0, 1)
    real, imaginary = analysis
    rows = [torch.stack([real, -imaginary], dim=-1), torch.stack([imaginary, real], dim=-1)]
    return torch.cat(rows).flatten(1)


def synthesis_matrix(
    basis: Basis, n_points: int, n_modes: int, n_parts: int, device: torch.device
) -> Float[Tensor, "row column"]:
    """Synthesis of a real (``n_parts`` 1: the real part) or complex (2) field as one real matrix, float64."""
    synthesis = basis.synthesis(n_points, n_modes, device).mT
    if not basis.is_complex:
        return synthesis[0]
    real, imaginary = synthesis
    columns = [torch.cat([real, -imaginary], dim=-1), torch.cat([imaginary, real], dim=-1)]
    return torch.stack(columns[:n_parts], dim=1).flatten(0, 1)


_Build = Callable[[Basis, int, int, int, torch.device], Tensor]


def _matrix(build: _Build, basis: Basis, n_points: int, n_modes: int, n_parts: int, like: Tensor) -> Tensor:
    if torch.compiler.is_compiling():
        return build(basis, n_points, n_modes, n_parts, like.device).to(like.dtype)
    return _cached_matrix(build, basis, n_points, n_modes, n_parts, like.dtype, like.device)


@cache  # a CUDA graph may hold their addresses
def _cached_matrix(
    build: _Build, basis: Basis, n_points: int, n_modes: int, n_parts: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    with torch.inference_mode(mode=False):
        return build(basis, n_points, n_modes, n_parts, torch.device("cpu")).to(device, dtype)


def _contract(matrix: Float[Tensor, "row column"], field: Tensor, dim: int) -> Tensor:
    trailing = field.shape[dim + 1 :]
    return torch.unflatten(matrix @ field.flatten(dim + 1), -1, trailing)
