"""Weights of a spectral convolution: interface, and the dense one."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers.complex_parts import mix_channels

Modes = tuple[slice, ...]
"""The stored modes that a grid resolves, one slice for each axis."""


class SpectralWeight(nn.Module, ABC):
    """One matrix between the channels for every mode, complex unless every basis is real.

    Parameters are real tensors, whose last axis holds the real and the imaginary part, or one part.

    Args:
        in_channels: Channels of the coefficients.
        out_channels: Channels of the result.
        n_coefficients: Number of stored modes of each axis.
        is_complex: Whether the coefficients are complex.
    """

    def __init__(
        self, in_channels: int, out_channels: int, n_coefficients: Sequence[int], *, is_complex: bool = True
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.n_coefficients = tuple(n_coefficients)
        self.n_parts = 2 if is_complex else 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the full tensor: input channels, output channels, modes."""
        return (self.in_channels, self.out_channels, *self.n_coefficients)

    @property
    def std(self) -> float:
        """Initial standard deviation of every (complex) entry: √(2 / (input channels + output channels))."""
        return math.sqrt(2 / (self.in_channels + self.out_channels))

    @abstractmethod
    def dense(self, modes: Modes) -> Float[Tensor, "*mode channel out part"]:
        """Return the matrices of the resolved modes."""

    @abstractmethod
    def forward(
        self, coefficients: Float[Tensor, "batch part *mode channel"], modes: Modes
    ) -> Float[Tensor, "batch part *mode out"]:
        """Multiply the coefficients of every mode by its matrix."""

    def factor_of(self, axis: int) -> tuple[nn.Parameter, int]:
        """Return the parameter that has one slice for each mode of an axis, and the number of its axis of modes.

        Raises:
            NotImplementedError: if a subclass does not override it; then its modes cannot be grown.
        """
        raise NotImplementedError(f"{type(self).__name__} must override factor_of")

    def _normal_parameter(self, *shape: int, std: float) -> nn.Parameter:
        return nn.Parameter(torch.randn(*shape, self.n_parts) * (std / math.sqrt(self.n_parts)))


class LowRankWeight(SpectralWeight):
    """Product of small factors.

    Args:
        in_channels: Channels of the coefficients.
        out_channels: Channels of the result.
        n_coefficients: Number of stored modes of each axis.
        is_complex: Whether the coefficients are complex.
        implementation: ``factorized`` multiplies the coefficients by one factor after the other, which is cheaper by
            far unless the batch is large; ``reconstructed`` multiplies the factors with each other first.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        n_coefficients: Sequence[int],
        *,
        is_complex: bool = True,
        implementation: Literal["factorized", "reconstructed"] = "factorized",
    ) -> None:
        super().__init__(in_channels, out_channels, n_coefficients, is_complex=is_complex)
        self.implementation = implementation

    @abstractmethod
    def factorized(
        self, coefficients: Float[Tensor, "batch part *mode channel"], modes: Modes
    ) -> Float[Tensor, "batch part *mode out"]:
        """Multiply the coefficients by one factor after the other."""

    def forward(
        self, coefficients: Float[Tensor, "batch part *mode channel"], modes: Modes
    ) -> Float[Tensor, "batch part *mode out"]:
        """Multiply the coefficients of every mode by its matrix."""
        if self.implementation == "reconstructed":
            return mix_channels(coefficients, self.dense(modes))
        return self.factorized(coefficients, modes)


class DenseWeight(SpectralWeight):
    """Free matrix between the channels for every mode, stored ``(*mode, in_channels, out_channels, part)``.

    Args:
        in_channels: Channels of the coefficients.
        out_channels: Channels of the result.
        n_coefficients: Number of stored modes of each axis.
        is_complex: Whether the coefficients are complex.

    Reference: Li et al. 2021, arXiv:2010.08895.
    """

    def __init__(
        self, in_channels: int, out_channels: int, n_coefficients: Sequence[int], *, is_complex: bool = True
    ) -> None:
        super().__init__(in_channels, out_channels, n_coefficients, is_complex=is_complex)
        self.kernel = self._normal_parameter(*n_coefficients, in_channels, out_channels, std=self.std)

    def factor_of(self, axis: int) -> tuple[nn.Parameter, int]:
        """Return the kernel, whose axes begin with those of the modes."""
        return self.kernel, axis

    def dense(self, modes: Modes) -> Float[Tensor, "*mode channel out part"]:
        """Return the matrices of the resolved modes."""
        return self.kernel[modes]

    def forward(
        self, coefficients: Float[Tensor, "batch part *mode channel"], modes: Modes
    ) -> Float[Tensor, "batch part *mode out"]:
        """Multiply the coefficients of every mode by its matrix."""
        return mix_channels(coefficients, self.dense(modes))
