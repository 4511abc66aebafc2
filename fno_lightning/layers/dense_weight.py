"""A free weight for every mode."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from fno_lightning.layers.parts import mix_channels
from fno_lightning.layers.spectral_weight import Modes, SpectralWeight


class DenseWeight(SpectralWeight):
    """A free matrix between the channels for every mode, stored ``(*mode, in_channels, out_channels, part)``.

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

    def dense(self, modes: Modes) -> Float[Tensor, "*mode channel out part"]:
        """The matrices of the resolved modes."""
        return self.kernel[modes]

    def forward(
        self, coefficients: Float[Tensor, "batch part *mode channel"], modes: Modes
    ) -> Float[Tensor, "batch part *mode out"]:
        """Multiplies the coefficients of every mode by its matrix."""
        return mix_channels(coefficients, self.dense(modes))
