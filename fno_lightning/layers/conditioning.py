"""Layers that depend on parameters of a sample; they change nothing until they are trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers.channel_mlp import ChannelMLP
from fno_lightning.layers.spectral_weight import Modes

ConditioningName = Literal["planes", "film", "spectral"]


class FiLM(nn.Module):
    r"""Scale and shift of each channel by functions of the parameters c of a sample.

    .. math:: x \mapsto (1 + \gamma(c))\, x + \beta(c)

    γ and β are one perceptron, with as many hidden channels as x has channels, that returns zeros at first.

    Args:
        n_conditions: Number of parameters.
        channels: Channels of x.

    Reference: Perez et al. 2018, arXiv:1709.07871.
    """

    def __init__(self, n_conditions: int, channels: int) -> None:
        super().__init__()
        self.mlp = _zero_mlp(n_conditions, channels, 2 * channels)

    def forward(
        self, conditions: Float[Tensor, "batch *one condition"]
    ) -> tuple[Float[Tensor, "batch *one channel"], Float[Tensor, "batch *one channel"]]:
        """Return the scale 1 + γ and the shift β."""
        gamma, beta = self.mlp(conditions).chunk(2, dim=-1)
        return 1 + gamma, beta


class SpectralModulation(nn.Module):
    r"""Scale of each coefficient of a field by a function of the parameters c of a sample.

    .. math:: z_{k,i} \mapsto (1 + \gamma_i(c)) \prod_d (1 + \delta_{d,k_d}(c))\, z_{k,i}

    with mode k of the axes d and channel i: a filter, such as a damping of short waves by a viscosity. The factors are
    real. They are one perceptron, with as many hidden channels as there are channels, that returns zeros at first.

    Args:
        n_conditions: Number of parameters.
        channels: Channels of the coefficients.
        n_coefficients: Number of stored modes of each axis.
    """

    def __init__(self, n_conditions: int, channels: int, n_coefficients: Sequence[int]) -> None:
        super().__init__()
        self.sizes = [channels, *n_coefficients]
        self.mlp = _zero_mlp(n_conditions, channels, sum(self.sizes))

    def forward(
        self,
        coefficients: Float[Tensor, "batch part *mode channel"],
        conditions: Float[Tensor, "batch *one condition"],
        modes: Modes,
    ) -> Float[Tensor, "batch part *mode channel"]:
        """Scale the coefficients of the resolved modes."""
        of_channels, *of_axes = (1 + self.mlp(conditions.flatten(1))).split(self.sizes, dim=-1)
        factors = torch.unflatten(of_channels, 1, (*(1,) * (len(modes) + 1), -1))
        for axis, (of_axis, resolved) in enumerate(zip(of_axes, modes, strict=True)):
            before, after = (1,) * (axis + 1), (1,) * (len(modes) - axis)
            factors = factors * torch.unflatten(of_axis[:, resolved], 1, (*before, -1, *after))
        scaled: Tensor = coefficients * factors.to(coefficients.dtype)
        return scaled


def _zero_mlp(n_conditions: int, hidden_channels: int, out_channels: int) -> ChannelMLP:
    mlp = ChannelMLP(n_conditions, hidden_channels, out_channels)
    last = mlp.layers[-1]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return mlp
