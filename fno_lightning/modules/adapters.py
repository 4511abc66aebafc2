"""Low-rank adapters: fine-tuning of a few numbers beside frozen weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from fno_lightning.arguments import require_list

_ORIGINAL = "parametrizations.weight.original"
_FACTORS = ("parametrizations.weight.0.down", "parametrizations.weight.0.up")

_POINTWISE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class LowRankUpdate(nn.Module):
    r"""The update :math:`W + s\, U D` of a frozen weight, which vanishes at first.

    Args:
        weight: W, ``(out, in)`` or that of a convolution with one point.
        rank: Columns of U and rows of D.
        scale: s.
    """

    def __init__(self, weight: Tensor, rank: int, scale: float) -> None:
        super().__init__()
        n_out, n_in = weight.shape[:2]
        self.scale = scale
        self.down = nn.Parameter(torch.empty(rank, n_in, dtype=weight.dtype, device=weight.device))
        self.up = nn.Parameter(torch.zeros(n_out, rank, dtype=weight.dtype, device=weight.device))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Float[Tensor, ...]) -> Float[Tensor, ...]:
        """Return the updated weight."""
        return weight + (self.scale * self.up @ self.down).view_as(weight)


@dataclass(frozen=True)
class LowRankAdapters:
    r"""Fine-tuning by low-rank updates of the layers that act on the channels of each point (LoRA, arXiv:2106.09685).

    Lifting, projection, perceptrons and linear skips (every ``nn.Linear``, and every convolution with one point) have
    :math:`W + s\, U D` in the place of W, with U and D of a small rank; nothing else is trained, W and the weights of
    the modes included. Checkpoints hold the sums, under the names of W, so that they load as any other; beside them
    lie U and D, with which a training is resumed.

    Args:
        rank: Rank of the updates; a layer with fewer channels has as many.
        scale: s.
        parts: Names of parts of the network to adapt, e.g. ``projection`` or ``blocks.0``; empty: all.

    Raises:
        ValueError: if the rank or the scale is not positive.
    """

    rank: int = 4
    scale: float = 1.0
    parts: Sequence[str] = ()

    def __post_init__(self) -> None:
        require_list(**{"adapters.parts": self.parts})
        if self.rank < 1 or not self.scale > 0:
            raise ValueError(f"adapters need a positive rank and scale, got rank={self.rank} and scale={self.scale}")

    def add_to(self, network: nn.Module) -> None:
        """Freeze a network and add the updates, in place.

        Raises:
            ValueError: if a part is none of the network's, or has no layer to adapt.
        """
        network.requires_grad_(False)
        layers = dict(_pointwise_layers(network))
        for part in self.parts:
            if not any(f"{name}.".startswith(f"{part}.") for name in layers):
                known = [name for name, _ in network.named_children()]
                raise ValueError(
                    f"adapters.parts: the network has no part {part!r} with layers over the channels, it has {known}"
                )
        chosen = [
            layer
            for name, layer in layers.items()
            if not self.parts or any(f"{name}.".startswith(f"{part}.") for part in self.parts)
        ]
        if not chosen:
            raise ValueError(
                "adapters: the network has no layer over the channels (nn.Linear, or one-point convolution)"
            )
        for layer in chosen:
            weight: Tensor = layer.weight
            update = LowRankUpdate(weight, min(self.rank, *weight.shape[:2]), self.scale)
            parametrize.register_parametrization(layer, "weight", update)


def merged_state(network: nn.Module, state: Mapping[str, Tensor], prefix: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a state dict with the sums in the place of the updates, and the parts that it replaces.

    Args:
        network: The network.
        state: State of a module that has the network as a part.
        prefix: Prefix of the network's names there.
    """
    merged: dict[str, Tensor] = dict(state)
    parts: dict[str, Tensor] = {}
    for name in adapted_layers(network, prefix):
        keys = [f"{name}.{key}" for key in (_ORIGINAL, *_FACTORS)]
        parts |= {key: merged.pop(key) for key in keys}
        layer = network.get_submodule(name.removeprefix(prefix))
        update: Any = layer.parametrizations.weight[0]  # type: ignore[union-attr, index]
        original, down, up = (parts[key] for key in keys)
        merged[f"{name}.weight"] = original + (update.scale * up @ down).view_as(original)
    return merged, parts


def adapted_state(network: nn.Module, state: Mapping[str, Tensor], parts: Mapping[str, Tensor], prefix: str) -> Any:
    """Return a state dict without updates as a network with updates can load it.

    Args:
        network: The network.
        state: State of a module that has the network as a part, under the names of a network without updates.
        parts: What :func:`merged_state` returned with it; of another training, empty: the updates are left as they are.
        prefix: Prefix of the network's names there.
    """
    adapted, own = dict(state), {prefix + name: value for name, value in network.state_dict().items()}
    for name in adapted_layers(network, prefix):
        if f"{name}.weight" in adapted:
            weight = adapted.pop(f"{name}.weight")
            given = {f"{name}.{_ORIGINAL}": weight, **{f"{name}.{key}": own[f"{name}.{key}"] for key in _FACTORS}}
            adapted |= {key: parts.get(key, value) for key, value in given.items()}
    return adapted


def adapted_layers(network: nn.Module, prefix: str = "") -> list[str]:
    """Return the names of the layers with updates."""
    return [
        prefix + name
        for name, module in network.named_modules()
        if parametrize.is_parametrized(module, "weight")
        and isinstance(module.parametrizations.weight[0], LowRankUpdate)
    ]


def _pointwise_layers(network: nn.Module) -> Iterator[tuple[str, Any]]:
    for name, module in network.named_modules():
        if isinstance(module, _POINTWISE) and math.prod(module.weight.shape[2:]) == 1:
            yield name, module
