"""Interface of the families of basis functions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor


class Basis(ABC):
    """Orthogonal functions on the points of one axis, built in float64 from plain values.

    A field on N points is a sum of m ≤ N functions, and the two directions are small dense matrices:

    * analysis, field to coefficients: ``coefficients = A @ field`` with ``A`` of shape ``(m, N)``,
    * synthesis, coefficients to field: ``field = S @ coefficients`` with ``S`` of shape ``(N, m)``,

    where ``A @ S`` is the identity and ``A`` carries the factor 1/N, so that a coefficient is an amplitude that does
    not depend on the resolution. Both are stored as ``(part, mode, point)``: one part if the functions are real, the
    real and the imaginary part if they are complex.

    A basis has no state: bases of the same class compare equal, and their matrices are cached by resolution.
    """

    is_complex: ClassVar[bool]
    """Whether the functions, and with them the coefficients, are complex."""

    @abstractmethod
    def n_coefficients(self, n_modes: int) -> int:
        """Return the number of coefficients that a layer of ``n_modes`` modes stores for this axis."""

    @abstractmethod
    def resolved(self, n_coefficients: int, n_points: int) -> slice:
        """Return the stored coefficients that a grid of ``n_points`` points resolves."""

    @property
    @abstractmethod
    def has_constant(self) -> bool:
        """Whether the longest wave is the constant 1."""

    @abstractmethod
    def longest(self, n_coefficients: int) -> int:
        """Return the position of the coefficient of the longest wave."""

    @abstractmethod
    def analysis(self, n_points: int, n_coefficients: int, device: torch.device) -> Float[Tensor, "part mode point"]:
        """Return the matrix from the field to its coefficients, float64."""

    @abstractmethod
    def synthesis(self, n_points: int, n_coefficients: int, device: torch.device) -> Float[Tensor, "part mode point"]:
        """Return the matrix from the coefficients to the field, float64, indexed like that of the analysis."""


class RealBasis(Basis):
    """Real functions in the order of their wavelengths, one for each mode."""

    is_complex: ClassVar[bool] = False

    def n_coefficients(self, n_modes: int) -> int:
        """Return one coefficient for each mode."""
        return n_modes

    def resolved(self, n_coefficients: int, n_points: int) -> slice:
        """Return the first functions, at most one for each point."""
        return slice(0, min(n_coefficients, n_points))

    def longest(self, n_coefficients: int) -> int:
        """Return the first position."""
        return 0
