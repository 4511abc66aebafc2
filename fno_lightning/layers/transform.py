"""Truncated spectral transforms as products with small dense matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.layers.basis import Basis
from fno_lightning.layers.fourier import HalfFourierBasis
from fno_lightning.layers.kernels.dispatch import use_fft
from fno_lightning.slabs import active_slabs, own_points, total, whole_grid


class SpectralTransform:
    r"""Transform between a field and the coefficients of its kept modes, one basis for each axis, channels last.

    Of N points along an axis an FNO keeps m ≪ N modes. An FFT computes all N of them, in complex numbers; here each
    axis is one real matrix product that computes the m kept ones, exact for any N, in any floating-point type and in
    one graph under :func:`torch.compile`. Complex coefficients are real pairs: the analysis of a complex axis is

    .. math:: \begin{pmatrix} \Re z \\ \Im z \end{pmatrix} =
        \begin{pmatrix} \Re A & -\Im A \\ \Im A & \Re A \end{pmatrix}
        \begin{pmatrix} \Re x \\ \Im x \end{pmatrix}

    without the second column while the field is still real. Between two axes the parts (real and imaginary; one part
    while the field is real) are always axis 1. One complex axis, of whatever number, goes through these layouts::

        analysis                                             synthesis
        (batch, part, ..., point, ..., channel)              (batch, part, ..., mode, ..., channel)
        (batch, ..., point and part, ..., channel)           (batch, ..., part and mode, ..., channel)
        (batch, ..., part and mode, ..., channel)            (batch, ..., point and part, ..., channel)
        (batch, part, ..., mode, ..., channel)               (batch, part, ..., point, ..., channel)

    The columns of the matrix count the joined axis of the second line, its rows that of the third. Moving an axis makes
    a view; joining two copies, unless they are neighbours in memory, as they are from the last axis to the first.

    The axis with the fewest coefficients goes first in the analysis and last in the synthesis, the last axis among
    equals, because that product reads or writes the whole field.

    The cost of the products grows with the number of modes, that of an FFT does not. One-dimensional periodic fields
    therefore go through an FFT from 64 resolved coefficients on, on a CPU, in float32 and float64, not compiled.

    Where fields are split over processes (:func:`~fno_lightning.slabs.split_fields`), each of them transforms its own
    points, and the coefficients are summed: the only exchange, which does not grow with the grid. The synthesis needs
    none. There is no FFT then.

    A transform may use the lowest of the stored coefficients alone (:meth:`keep`); it is then one that stores no other.

    Args:
        bases: Basis of each axis.
        n_coefficients: Number of stored coefficients of each axis.
    """

    def __init__(self, bases: Sequence[Basis], n_coefficients: Sequence[int]) -> None:
        self.bases = tuple(bases)
        self.n_coefficients = tuple(n_coefficients)
        self.is_complex = any(basis.is_complex for basis in self.bases)
        self.keep(self.n_coefficients)

    def keep(self, n_coefficients: Sequence[int]) -> None:
        """Use so many of the stored coefficients of each axis, the lowest."""
        self.n_kept = tuple(n_coefficients)
        cost = [n * (1 + basis.is_complex) for basis, n in zip(self.bases, self.n_kept, strict=True)]
        self._order = sorted(range(len(cost)), key=lambda axis: (cost[axis], -axis))

    @property
    def kept(self) -> tuple[slice, ...]:
        """The stored coefficients of each axis that are used."""
        starts = [b.longest(m) - b.longest(n) for b, m, n in self._axes()]
        return tuple(slice(start, start + n) for start, n in zip(starts, self.n_kept, strict=True))

    def resolved(self, grid: Sequence[int]) -> tuple[slice, ...]:
        """Return the stored coefficients of each axis that are used and that a grid of this shape resolves."""
        slices = []
        for (basis, n_stored, n_kept), n_points in zip(self._axes(), grid, strict=True):
            of_kept = basis.resolved(n_kept, n_points)
            start = basis.longest(n_stored) - basis.longest(n_kept) + of_kept.start
            slices.append(slice(start, start + of_kept.stop - of_kept.start))
        return tuple(slices)

    def _axes(self) -> Iterator[tuple[Basis, int, int]]:
        """Yield the basis of each axis with the numbers of coefficients that are stored and used."""
        return zip(self.bases, self.n_coefficients, self.n_kept, strict=True)

    def analysis(self, field: Float[Tensor, "batch *grid channel"]) -> Float[Tensor, "batch part *mode channel"]:
        """Return the resolved coefficients; two parts, real and imaginary, if any basis is complex, else one."""
        slabs, grid = active_slabs(), whole_grid(field.shape[1:-1])
        resolved = self.resolved(grid)
        if self._by_fft(field, resolved[0].stop):
            spectrum = torch.fft.rfft(field, dim=1, norm="forward")[:, resolved[0]]
            return torch.view_as_real(spectrum).movedim(-1, 1)
        field = field.unsqueeze(1)
        for axis in self._order:
            basis, n_coefficients = self.bases[axis], resolved[axis].stop - resolved[axis].start
            n_parts = field.shape[1] if basis.is_complex else 1
            matrix = transform_matrix(
                analysis_matrix, basis, grid[axis], n_coefficients, n_parts, field, own_points(axis)
            )
            if basis.is_complex:
                columns = field.movedim(1, axis + 2).flatten(axis + 1, axis + 2)
                rows = torch.unflatten(contract(matrix, columns, axis + 1), axis + 1, (2, n_coefficients))
                field = rows.movedim(axis + 1, 1)
            else:
                field = contract(matrix, field, axis + 2)
        return field if slabs is None else total(field, slabs)

    def synthesis(
        self, coefficients: Float[Tensor, "batch part *mode channel"], grid: Sequence[int]
    ) -> Float[Tensor, "batch *grid channel"]:
        """Return the field on a whole grid of this shape, or the slab of it; the real part if any basis is complex."""
        n_coefficients = coefficients.shape[2:-1]
        if self._by_fft(coefficients, n_coefficients[0]):
            spectrum = torch.view_as_complex(coefficients.movedim(1, -1).contiguous())
            values: Tensor = torch.fft.irfft(spectrum, grid[0], dim=1, norm="forward")
            return values
        n_complex = sum(basis.is_complex for basis in self.bases)
        field = coefficients
        for axis in reversed(self._order):
            basis = self.bases[axis]
            n_complex -= basis.is_complex
            n_parts = 2 if basis.is_complex and n_complex > 0 else 1
            points = own_points(axis)
            n_points = grid[axis] if points is None else points[1] - points[0]
            matrix = transform_matrix(synthesis_matrix, basis, grid[axis], n_coefficients[axis], n_parts, field, points)
            if basis.is_complex:
                columns = field.movedim(1, axis + 1).flatten(axis + 1, axis + 2)
                rows = torch.unflatten(contract(matrix, columns, axis + 1), axis + 1, (n_points, n_parts))
                field = rows.movedim(axis + 2, 1)
            else:
                field = contract(matrix, field, axis + 2)
        return field.squeeze(1)

    def _by_fft(self, values: Tensor, n_coefficients: int) -> bool:
        is_real_periodic = len(self.bases) == 1 and isinstance(self.bases[0], HalfFourierBasis)
        return is_real_periodic and active_slabs() is None and use_fft(values, n_coefficients)


_Points = tuple[int, int] | None
"""First point that a matrix is for, and the point after the last; ``None``: all."""


def analysis_matrix(
    basis: Basis, n_points: int, n_coefficients: int, n_parts: int, device: torch.device, points: _Points = None
) -> Float[Tensor, "row column"]:
    """Return the analysis of a complex field (``n_parts`` 2), or of a real one (1), as one real matrix, float64."""
    analysis = _of_points(basis.analysis(n_points, n_coefficients, device), points)
    if n_parts == 1:
        return analysis.flatten(0, 1)
    real, imaginary = analysis
    rows = [torch.stack([real, -imaginary], dim=-1), torch.stack([imaginary, real], dim=-1)]
    return torch.cat(rows).flatten(1)


def synthesis_matrix(
    basis: Basis, n_points: int, n_coefficients: int, n_parts: int, device: torch.device, points: _Points = None
) -> Float[Tensor, "row column"]:
    """Return the synthesis of a complex field (``n_parts`` 2), or of its real part (1), as one real matrix, float64."""
    synthesis = _of_points(basis.synthesis(n_points, n_coefficients, device), points).mT
    if not basis.is_complex:
        return synthesis[0]
    real, imaginary = synthesis
    columns = [torch.cat([real, -imaginary], dim=-1), torch.cat([imaginary, real], dim=-1)]
    return torch.stack(columns[:n_parts], dim=1).flatten(0, 1)


def _of_points(matrix: Float[Tensor, "part mode point"], points: _Points) -> Float[Tensor, "part mode own_point"]:
    return matrix if points is None else matrix[..., slice(*points)]


_Build = Callable[[Basis, int, int, int, torch.device, _Points], Tensor]


def transform_matrix(
    build: _Build,
    basis: Basis,
    n_points: int,
    n_coefficients: int,
    n_parts: int,
    like: Tensor,
    points: _Points = None,
) -> Float[Tensor, "row column"]:
    """Return :func:`analysis_matrix` or :func:`synthesis_matrix` on the device and in the type of a field."""
    if torch.compiler.is_compiling():
        return build(basis, n_points, n_coefficients, n_parts, like.device, points).to(like.dtype)
    return _cached_matrix(build, basis, n_points, n_coefficients, n_parts, points, like.dtype, like.device)


@cache  # a CUDA graph may hold their addresses
def _cached_matrix(
    build: _Build,
    basis: Basis,
    n_points: int,
    n_coefficients: int,
    n_parts: int,
    points: _Points,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    with torch.inference_mode(mode=False):
        return build(basis, n_points, n_coefficients, n_parts, torch.device("cpu"), points).to(device, dtype)


def contract(matrix: Float[Tensor, "row column"], field: Tensor, dim: int) -> Tensor:
    """Multiply an axis of a field, not the last, by a matrix."""
    trailing = field.shape[dim + 1 :]
    return torch.unflatten(matrix @ field.flatten(dim + 1), -1, trailing)
