"""Networks that are compared: neuralop's, ours with the same weights, and a plain one on PyTorch's FFT."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from neuralop import models as neuralop
from torch import Tensor, nn

from fno_lightning.models import FNO, from_neuralop


def pair(*, tfno: bool = False, seed: int = 0, **arguments: Any) -> tuple[nn.Module, FNO]:
    """Return neuralop's FNO (or TFNO) of these arguments, and ours with the same weights."""
    torch.manual_seed(seed)
    peer = (neuralop.TFNO if tfno else neuralop.FNO)(**arguments)
    return peer, from_neuralop(peer)


def copies(network: nn.Module, n: int) -> list[nn.Module]:
    """Return the network itself and copies with weights of their own."""
    return [network, *(copy.deepcopy(network) for _ in range(n - 1))]


class PlainFNO(nn.Module):
    """FNO as it is mostly written by hand: channels first, ``rfftn``, complex weights, 1x1 convolutions.

    It has the layers of neuralop's FNO with its default options, so that it has as many parameters.

    Args:
        n_modes: Modes to keep along each axis, both signs counted.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        hidden_channels: Channels of the blocks.
        n_layers: Number of blocks.
    """

    def __init__(
        self, n_modes: Sequence[int], in_channels: int, out_channels: int, hidden_channels: int, n_layers: int
    ) -> None:
        super().__init__()
        width = hidden_channels
        self.lifting = _perceptron(in_channels + len(n_modes), 2 * width, width)
        self.convs = nn.ModuleList(_RFFTConv(width, n_modes) for _ in range(n_layers))
        self.skips = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(n_layers))
        self.mlps = nn.ModuleList(_perceptron(width, width // 2, width) for _ in range(n_layers))
        self.gates = nn.ParameterList(torch.ones(width) for _ in range(n_layers))
        self.projection = _perceptron(width, 2 * width, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        axes = [torch.arange(n, device=x.device) / n for n in x.shape[2:]]
        position = torch.stack(torch.meshgrid(*axes, indexing="ij")).expand(len(x), -1, *x.shape[2:])
        x = _pointwise(self.lifting, torch.cat([x, position], dim=1))
        last = len(self.convs) - 1
        for number, (conv, skip, mlp, gate) in enumerate(
            zip(self.convs, self.skips, self.mlps, self.gates, strict=True)
        ):
            h = conv(x) + _convolve(skip, x)
            h = _pointwise(mlp, F.gelu(h) if number < last else h)
            h = h + gate.view(-1, *(1,) * (x.ndim - 2)) * x
            x = F.gelu(h) if number < last else h
        return _pointwise(self.projection, x)


class _RFFTConv(nn.Module):
    """Spectral convolution with one block of weights for all kept modes."""

    def __init__(self, channels: int, n_modes: Sequence[int]) -> None:
        super().__init__()
        *leading, last = n_modes
        shape = (channels, channels, *leading, last // 2 + 1)
        self.weight = nn.Parameter(torch.randn(*shape, dtype=torch.cfloat) / channels)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        grid = x.shape[2:]
        axes = list(range(2, x.ndim))
        spectrum = torch.fft.rfftn(x, dim=axes, norm="forward")
        leading = [_signed(n, full, x.device) for n, full in zip(self.weight.shape[2:-1], grid[:-1], strict=True)]
        kept = torch.arange(self.weight.shape[-1], device=x.device)
        index = (slice(None), slice(None), *torch.meshgrid(*leading, kept, indexing="ij"))
        letters = "xyz"[: len(grid)]
        mixed = torch.einsum(f"bi{letters},io{letters}->bo{letters}", spectrum[index], self.weight)
        full = torch.zeros_like(spectrum)
        full[index] = mixed
        field = torch.fft.irfftn(full, s=list(grid), dim=axes, norm="forward")
        return field + self.bias.view(-1, *(1,) * len(grid))


def _signed(n_modes: int, n_points: int, device: torch.device) -> Tensor:
    """Return the positions of the lowest modes of both signs in a spectrum of ``n_points``."""
    return torch.arange(-(n_modes // 2), n_modes - n_modes // 2, device=device) % n_points


def _perceptron(in_channels: int, hidden_channels: int, out_channels: int) -> nn.ModuleList:
    return nn.ModuleList([nn.Linear(in_channels, hidden_channels), nn.Linear(hidden_channels, out_channels)])


def _pointwise(layers: nn.ModuleList, x: Tensor) -> Tensor:
    return _convolve(layers[1], F.gelu(_convolve(layers[0], x)))


def _convolve(layer: nn.Linear, x: Tensor) -> Tensor:
    return F.conv1d(x.flatten(2), layer.weight[..., None], layer.bias).unflatten(2, x.shape[2:])
