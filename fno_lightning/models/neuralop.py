"""Conversion of neuralop's networks and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fno_lightning.models.fno import FNO
from fno_lightning.models.variants import TFNO

_POSITIONAL = ("n_modes", "in_channels", "out_channels", "hidden_channels", "n_layers")
_SHARED = (
    *_POSITIONAL,
    "lifting_channel_ratio",
    "projection_channel_ratio",
    "positional_embedding",
    "norm",
    "use_channel_mlp",
    "channel_mlp_dropout",
    "channel_mlp_expansion",
    "channel_mlp_skip",
    "fno_skip",
    "domain_padding",
    "implementation",
)
_RATIOS = ("lifting_channel_ratio", "projection_channel_ratio", "channel_mlp_dropout", "channel_mlp_expansion")
_SUPPORTED: dict[str, tuple[Any, ...]] = {
    "positional_embedding": ("grid", None),
    "norm": ("instance_norm", "group_norm", None),
    "non_linearity": (nn.functional.gelu,),
    "complex_data": (False,),
    "resolution_scaling_factor": (None,),
    "fno_block_precision": ("full",),
    "stabilizer": (None,),
    "separable": (False,),
    "preactivation": (False,),
}


class Converted(NamedTuple):
    """A network of ours that computes what another computes, before it is built."""

    network_class: type[FNO]
    arguments: dict[str, Any]
    """Arguments of the class."""
    state: dict[str, Tensor]
    """Its state dict."""

    def build(self) -> FNO:
        """Return the network."""
        network = self.network_class(**self.arguments)
        network.load_state_dict(self.state)
        return network


def from_neuralop(source: nn.Module | Mapping[str, Any]) -> FNO:
    """Build the network that computes what a network of neuralop 2.0.0 computes.

    The outputs agree to float32 round-off on grids whose leading axes have even numbers of points. On odd ones neuralop
    2.0.0 shifts the spectrum by one mode (fixed in its repository, not released); this network does not.

    Args:
        source: A neuralop ``FNO`` or ``TFNO``, or its ``state_dict()`` with the entry ``_metadata``.

    Returns:
        An :class:`FNO`, or a :class:`TFNO` for neuralop's. Modes that only ``max_n_modes`` keeps in store are dropped.

    Raises:
        ValueError: if the entry ``_metadata`` is missing or names an option that our networks do not have.
    """
    return converted_neuralop(source.state_dict() if isinstance(source, nn.Module) else source).build()


def converted_neuralop(state_dict: Mapping[str, Any]) -> Converted:
    """Translate a state dict of neuralop's, see :func:`from_neuralop`.

    Args:
        state_dict: State dict with the entry ``_metadata``.

    Raises:
        ValueError: as :func:`from_neuralop`.
    """
    if "_metadata" not in state_dict:
        raise ValueError(
            "the neuralop state dict has no entry '_metadata', which holds the network's arguments: build an FNO with "
            "the same arguments and load convert_neuralop_state_dict(state_dict, n_modes) into it"
        )
    metadata = state_dict["_metadata"]
    positional = metadata.get("args", ())
    if len(positional) > len(_POSITIONAL):
        raise ValueError(f"cannot name the positional arguments after {_POSITIONAL[-1]} of the neuralop network")
    arguments = {**metadata, **dict(zip(_POSITIONAL, positional, strict=False))}
    _check(arguments)
    settings = {name: arguments[name] for name in _SHARED if name in arguments}
    settings |= {name: float(settings[name]) for name in _RATIOS if name in settings}
    is_tfno = metadata.get("_name") == "TFNO"
    factorization = arguments.get("factorization", "tucker" if is_tfno else None)
    if factorization is not None and factorization.lower() != "dense":
        settings["factorization"] = factorization.lower()
        settings["rank"] = low_rank(state_dict, settings["factorization"])
    network_class = TFNO if is_tfno and "factorization" in settings else FNO
    return Converted(network_class, settings, convert_neuralop_state_dict(state_dict, settings["n_modes"]))


def convert_neuralop_state_dict(state_dict: Mapping[str, Any], n_modes: Sequence[int]) -> dict[str, Tensor]:
    """Translate names and layouts of the weights of neuralop 2.0.0's ``FNO`` and ``TFNO`` into :class:`FNO`'s.

    Args:
        state_dict: State dict of the neuralop network; an entry ``_metadata`` is ignored.
        n_modes: Its ``n_modes``; weights of more modes (``max_n_modes``) are cropped as its forward pass does.

    Returns:
        A state dict of real tensors for an :class:`FNO` of the same arguments.
    """
    return {
        _renamed(name): _spectral(name, tensor, n_modes) if tensor.is_complex() else _pointwise(name, tensor)
        for name, tensor in state_dict.items()
        if name != "_metadata"
    }


def _check(arguments: Mapping[str, Any]) -> None:
    for name, supported in _SUPPORTED.items():
        if name in arguments and not any(arguments[name] is value or arguments[name] == value for value in supported):
            expected = " or ".join(repr(value) for value in supported)
            raise ValueError(f"cannot convert a neuralop network with {name}={arguments[name]!r}: expected {expected}")


def low_rank(state_dict: Mapping[str, Any], factorization: str) -> int | tuple[int, ...]:
    """Return the rank of the weights of a state dict, as a network of ours takes it."""
    weight = "fno_blocks.convs.0.weight."
    if factorization == "tucker":
        return tuple(state_dict[weight + "core"].shape)
    if factorization == "cp":
        return int(state_dict[weight + "weights"].shape[0])
    factors = [tensor for name, tensor in state_dict.items() if name.startswith(weight + "factors.")]
    return (*[factor.shape[0] for factor in factors], 1)


def _renamed(name: str) -> str:
    """Rename a weight: ``fno_blocks.convs.3.weight.tensor`` becomes ``blocks.3.conv.weight.kernel``, for example."""
    network_part, *rest = name.split(".")
    if network_part != "fno_blocks":
        return name.replace(".fcs.", ".layers.")
    block_part, index, *rest = rest
    if block_part == "norm":
        layer, is_mlp_norm = divmod(int(index), 2)
        return ".".join(["blocks", str(layer), "mlp_norm" if is_mlp_norm else "conv_norm", *rest])
    names = {"convs": "conv", "fno_skips": "skip", "channel_mlp": "mlp", "channel_mlp_skips": "mlp_skip"}
    path = ".".join(["blocks", index, names[block_part], *rest])
    for old, new in (
        (".skip.conv.", ".skip."),
        (".mlp_skip.conv.", ".mlp_skip."),
        (".fcs.", ".layers."),
        (".weight.tensor", ".weight.kernel"),
        (".weight.weights", ".weight.scale"),
        (".factors.factor_0", ".in_factor"),
        (".factors.factor_1", ".out_factor"),
    ):
        path = path.replace(old, new)
    if ".factors.factor_" in path:
        path, axis = path.split(".factors.factor_")
        path = f"{path}.mode_factors.{int(axis) - 2}"
    return path


def _pointwise(name: str, tensor: Tensor) -> Tensor:
    """Return the matrix of a convolution with kernel size 1, or the vector of anything else."""
    is_convolution = name.endswith(".weight") and (".fcs." in name or ".conv." in name)
    return tensor.squeeze(-1) if is_convolution else tensor.flatten()


def _spectral(name: str, tensor: Tensor, n_modes: Sequence[int]) -> Tensor:
    """Return real pairs, with modes before input and output channels, cropped to the modes in use."""
    part = name.rsplit(".", 1)[-1]
    if part == "tensor":
        kept = [_kept(axis, size, n_modes) for axis, size in enumerate(tensor.shape[2:])]
        tensor = tensor[(slice(None), slice(None), *kept)]
    if part in ("tensor", "core"):
        tensor = tensor.permute(*range(2, tensor.ndim), 0, 1)
    elif part == "factor_0":
        tensor = tensor.flatten(0, -2)
    elif part == "factor_1":
        tensor = tensor.mT if tensor.ndim == 2 else tensor
    elif part.startswith("factor_"):
        axis = int(part.removeprefix("factor_")) - 2
        tensor = tensor[..., _kept(axis, tensor.shape[-2], n_modes), :]
    return torch.view_as_real(tensor.resolve_conj()).contiguous()


def _kept(axis: int, size: int, n_modes: Sequence[int]) -> slice:
    """Return the stored modes in use: the lowest on the last axis, those in the middle on the others."""
    if axis == len(n_modes) - 1:
        return slice(0, n_modes[axis] // 2 + 1)
    start = (size - n_modes[axis]) // 2
    return slice(start, start + n_modes[axis])
