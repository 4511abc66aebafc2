"""Conversion of the FNO and TFNO weights that The Well publishes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from fno_lightning.models.fno import FNO
from fno_lightning.models.neuralop import Converted, convert_neuralop_state_dict, low_rank
from fno_lightning.models.variants import TFNO

_WEIGHTS = "fno_blocks.convs.weight."
"""Start of the names of spectral weights, which neuralop 0.3.0 keeps in one module for all layers."""


def is_well_fno(state_dict: Mapping[str, Any]) -> bool:
    """Whether a state dict is that of The Well's FNO or TFNO, or of neuralop 0.3.0's, which are in them."""
    return any(name.removeprefix("model.").startswith(_WEIGHTS) for name in state_dict)


def converted_well_fno(state_dict: Mapping[str, Tensor], *, with_blocks: bool = True) -> Converted:
    """Translate a state dict of The Well's ``FNO`` or ``TFNO`` on neuralop 0.3.0.

    They have no perceptrons in the blocks, no positions, and 256 channels in lifting and projection. The outputs agree
    to float32 round-off on grids whose leading axes have even numbers of points.

    Before its version 1.2 The Well computed the blocks and threw the result away
    (https://github.com/PolymathicAI/the_well/pull/64), so that a network trained then is its lifting and projection,
    and its blocks are what they were drawn as.

    Args:
        state_dict: State dict; names may start with ``model.``.
        with_blocks: Whether the blocks act; ``False`` for weights trained with a version before 1.2.

    Raises:
        ValueError: if it is of another network.
    """
    if not is_well_fno(state_dict):
        raise ValueError("the state dict is not that of The Well's FNO or TFNO: it has no fno_blocks.convs.weight")
    renamed = dict(_renamed({name.removeprefix("model."): value for name, value in state_dict.items()}))
    spectral = {name for name in renamed if name.startswith("fno_blocks.convs.0.weight.")}
    is_dense = "fno_blocks.convs.0.weight.tensor" in spectral
    if not is_dense and "fno_blocks.convs.0.weight.core" not in spectral:
        raise ValueError(f"the spectral weights {sorted(spectral)} are neither dense nor Tucker's")
    lifting, projection = (renamed[f"{part}.fcs.0.weight"] for part in ("lifting", "projection"))
    sizes = _sizes(renamed, is_dense=is_dense)
    hidden_channels = len(renamed["lifting.fcs.1.bias"])
    arguments: dict[str, Any] = {
        "n_modes": (*sizes[:-1], 2 * (sizes[-1] - 1)),
        "in_channels": lifting.shape[1],
        "out_channels": len(renamed["projection.fcs.1.bias"]),
        "hidden_channels": hidden_channels,
        "n_layers": len(renamed[_BIAS]) if with_blocks else 0,
        "lifting_channel_ratio": _ratio(len(lifting), hidden_channels),
        "projection_channel_ratio": _ratio(len(projection), hidden_channels),
        "positional_embedding": None,
        "use_channel_mlp": False,
        "final_activation": False,
        "channel_mlp_skip": None,
    }
    if not is_dense:
        arguments |= {"factorization": "tucker", "rank": low_rank(renamed, "tucker")}
    del renamed[_BIAS]
    state = convert_neuralop_state_dict(renamed, arguments["n_modes"])
    state = {name: value for name, value in state.items() if with_blocks or not name.startswith("blocks.")}
    return Converted(FNO if is_dense else TFNO, arguments, state)


_BIAS = "fno_blocks.convs.bias"


def _renamed(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield the entries as neuralop 2.0.0 has them, and the biases of all layers together as 0.3.0 does."""
    for name, value in state.items():
        if name == _BIAS:
            yield name, value
            yield from ((f"fno_blocks.convs.{layer}.bias", bias) for layer, bias in enumerate(value))
        elif name.startswith(_WEIGHTS):
            layer, _, rest = name.removeprefix(_WEIGHTS).partition(".")
            yield f"fno_blocks.convs.{layer}.weight.{rest}", torch.view_as_complex(value.contiguous())
        elif name.startswith("fno_blocks.fno_skips."):
            yield name.replace(".weight", ".conv.weight"), value.flatten(2)
        else:
            yield name, value.flatten(2) if value.ndim > 2 else value


def _sizes(renamed: Mapping[str, Tensor], *, is_dense: bool) -> list[int]:
    """Return the number of stored modes along each axis."""
    weight = "fno_blocks.convs.0.weight."
    if is_dense:
        return list(renamed[weight + "tensor"].shape[2:])
    n_axes = renamed[weight + "core"].ndim
    return [len(renamed[f"{weight}factors.factor_{axis}"]) for axis in range(2, n_axes)]


def _ratio(channels: int, hidden_channels: int) -> float:
    """Return the ratio that a network makes these channels of, whatever its rounding."""
    ratio = channels / hidden_channels
    return ratio if int(ratio * hidden_channels) == channels else (channels + 0.5) / hidden_channels
