"""State of a network that its state dict lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn


def require_registered_layers(network: nn.Module, name: str) -> None:
    """Check that no layer or parameter lies in a list or dictionary, where nothing trains, moves or saves it.

    Args:
        network: The network.
        name: Its class path, for the message.

    Raises:
        ValueError: if one does; names it.
    """
    registered = {id(module) for module in network.modules()} | {id(parameter) for parameter in network.parameters()}
    for path, entry in _entries(network):
        if isinstance(entry, nn.Module | nn.Parameter) and id(entry) not in registered:
            raise ValueError(
                f"network {name} keeps a {type(entry).__name__} in {path}, where it is neither trained nor saved: use "
                "an nn.ModuleList, nn.ModuleDict or nn.ParameterList"
            )


def state_outside(network: nn.Module, rebuild: Callable[[], nn.Module], x: Tensor) -> list[str]:
    """Return the tensors that decide what a network computes and that neither its arguments nor its state dict hold.

    Args:
        network: The network.
        rebuild: Builds it once more from its arguments.
        x: An input, to tell caches from state.
    """
    with torch.random.fork_rng(devices=[]):
        other = rebuild().to(x.device)
    differing = _differing(network, other)
    if not differing:
        return []
    other.load_state_dict(network.state_dict())
    was_training = network.training
    network.eval()
    other.eval()
    try:
        with torch.no_grad():  # forward: a compiled network would be compiled for this input
            first, again, rebuilt = network.forward(x), network.forward(x), other.forward(x)
    finally:
        network.train(was_training)
    same = isinstance(first, Tensor) and (torch.equal(first, rebuilt) or not torch.equal(first, again))
    return [] if same else differing


def _differing(network: nn.Module, other: nn.Module) -> list[str]:
    """Return the names of tensors outside the state dict that both have, with other values."""
    rebuilt = dict(_tensors(other))
    return [
        name
        for name, tensor in _tensors(network)
        if name in rebuilt and not _equal(tensor.detach().cpu(), rebuilt[name].detach().cpu())
    ]


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other)


def _tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from ((path, entry) for path, entry in _entries(network) if isinstance(entry, Tensor))
    for prefix, module in network.named_modules():
        for name in module._non_persistent_buffers_set:
            buffer = module._buffers[name]
            if buffer is not None:
                yield _path(prefix, name), buffer


def _entries(network: nn.Module) -> Iterator[tuple[str, object]]:
    """Yield the plain attributes of all modules of a network, and what lists and dictionaries among them hold."""
    for prefix, module in network.named_modules():
        for name, value in vars(module).items():
            if name.startswith("_"):  # torch's own, where parameters, buffers and hooks are
                continue
            yield _path(prefix, name), value
            for key, entry in _members(value):
                yield f"{_path(prefix, name)}[{key!r}]", entry


def _members(value: object) -> Iterable[tuple[object, object]]:
    if isinstance(value, Mapping):
        return value.items()
    return enumerate(value) if isinstance(value, list | tuple) else ()


def _path(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
