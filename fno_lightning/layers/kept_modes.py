"""The modes that the spectral convolutions of a network use, of those that their weights hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import nn

from fno_lightning.layers.axis_spectral_conv import AxisSpectralConv
from fno_lightning.layers.spectral_conv import SpectralConv


def spectral_layers(network: nn.Module) -> dict[str, SpectralConv | AxisSpectralConv]:
    """Return the spectral convolutions of a network by name; those of an AxisSpectralConv are one."""
    return dict(_named_layers(network, ""))


def _named_layers(module: nn.Module, name: str) -> Iterator[tuple[str, SpectralConv | AxisSpectralConv]]:
    if isinstance(module, SpectralConv | AxisSpectralConv):
        yield name, module
        return
    for child_name, child in module.named_children():
        yield from _named_layers(child, f"{name}.{child_name}".lstrip("."))


def reduced_modes(network: nn.Module) -> dict[str, list[int]]:
    """Return the modes that each layer uses that does not use all, as plain values for a checkpoint."""
    layers = spectral_layers(network).items()
    return {name: list(layer.kept_modes) for name, layer in layers if layer.kept_modes != layer.n_modes}


def restore_modes(network: nn.Module, reduced: Mapping[str, Sequence[int]]) -> None:
    """Let each layer use the modes that :func:`reduced_modes` returned; those that it leaves out use all."""
    for name, layer in spectral_layers(network).items():
        n_modes = tuple(reduced.get(name, layer.n_modes))
        if n_modes != layer.kept_modes:
            layer.keep_modes(n_modes)
