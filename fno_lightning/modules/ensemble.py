"""Several networks of one kind, evaluated as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torch.func import functional_call, vmap

from fno_lightning.layers import ChannelMLP, FNOBlock


class EnsembleNetwork(nn.Module):
    """Deep ensemble: networks of equal shape and different weights, evaluated and trained as one batched network.

    The weights of all members are stacked along a new first axis, and each operation acts on all of them at once
    (``torch.func.vmap``). A small network, whose operations take less time than their calls, so costs less than the
    members one after the other. Networks that cannot be batched so, such as those that write into parts of a tensor,
    are evaluated member by member, with a message at the first evaluation.

    Samples are those of all members, one member after the other. The gradient of each member's weights is that of its
    own mean loss, where the loss is a mean over the samples of all: training equals that of each member alone on the
    same batches.

    Args:
        networks: The members, two at least; the first one is taken apart, and becomes :attr:`members`.

    Attributes:
        size: Number of members.
        members: A network whose parameters, of unchanged names, hold those of all members, ``(member, *shape)``.
        is_batched: Whether operations act on all members at once.

    Raises:
        ValueError: if there is one network, if they differ in the shapes of their parameters, or if they keep running
            statistics, as batch norms do.

    Reference: Lakshminarayanan et al. 2017, arXiv:1612.01474.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.size = require_several("ensemble_size", len(networks))
        if any(isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats for m in networks[0].modules()):
            raise ValueError(
                "ensemble_size: the network keeps running statistics (BatchNorm), which are no weights of a member: "
                "choose a norm without them, such as group norm"
            )
        states = [dict(network.named_parameters()) | dict(network.named_buffers()) for network in networks]
        if len({tuple((name, tuple(value.shape)) for name, value in state.items()) for state in states}) > 1:
            raise ValueError("ensemble_size: the members have parameters of different shapes, expected equal networks")
        self._stacked = [
            name
            for name, value in states[0].items()
            if isinstance(value, nn.Parameter) or not all(torch.equal(value, state[name]) for state in states[1:])
        ]
        stacked = {name: torch.stack([state[name].detach() for state in states]) for name in self._stacked}
        trained = {name: bool(states[0][name].requires_grad) for name in self._stacked}
        self.members = networks[0]
        for name, owners in _owners(self.members, {states[0][name]: name for name in self._stacked}).items():
            parameter = nn.Parameter(stacked[name], requires_grad=trained[name])
            for module, attribute in owners:
                if attribute in module._buffers:
                    module._buffers[attribute] = stacked[name]
                else:
                    module._parameters[attribute] = parameter
        for module in self.members.modules():
            if isinstance(module, ChannelMLP | FNOBlock):
                module.tiling = False  # a tile is evaluated again with the weights that the module has then
        self.is_batched = True

    def forward(self, x: Float[Tensor, "samples in_channels *grid"]) -> Float[Tensor, "samples out_channels *grid"]:
        """Apply each member to its share of the samples, the first one to the first of :attr:`size` equal parts."""
        weights = self._weights()
        samples = torch.unflatten(x, 0, (self.size, -1))
        if self.is_batched:
            if torch.compiler.is_compiling():
                return self._all_at_once(weights, samples)
            try:
                return self._all_at_once(weights, samples)
            except RuntimeError as error:
                if "vmap" not in str(error):
                    raise
                self.is_batched = False
                rank_zero_info(
                    f"ensemble_size: {type(self.members).__name__} cannot be batched over its members, which are "
                    f"evaluated one after the other: {str(error).splitlines()[0][:200]}"
                )
        by_member = [
            self._of_member({name: values[i] for name, values in weights.items()}, samples[i]) for i in range(self.size)
        ]
        return torch.cat(by_member)

    def member_state(self, number: int) -> dict[str, Tensor]:
        """Return the state dict of one member, that of a network alone."""
        state = self.members.state_dict()
        return {name: value[number].clone() if name in self._stacked else value for name, value in state.items()}

    def _all_at_once(self, weights: Mapping[str, Tensor], samples: Tensor) -> Tensor:
        outputs: Tensor = vmap(self._of_member, randomness="different")(weights, samples)
        return outputs.flatten(0, 1)

    def _of_member(self, weights: Mapping[str, Tensor], samples: Tensor) -> Tensor:
        return cast("Tensor", functional_call(self.members, dict(weights), (samples,)))

    def _weights(self) -> dict[str, Tensor]:
        held = dict(self.members.named_parameters()) | dict(self.members.named_buffers())
        own = {name: held[name] for name in self._stacked}
        if not torch.is_grad_enabled():
            return own
        return {
            name: _GradientTimes.apply(value, self.size) if value.requires_grad else value  # type: ignore[no-untyped-call]
            for name, value in own.items()
        }


class _GradientTimes(torch.autograd.Function):
    """The same value, with a gradient that is a multiple."""

    @staticmethod
    def forward(value: Tensor, factor: int) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int], output: Tensor) -> None:
        ctx.factor = inputs[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.factor, None


def require_several(name: str, count: int) -> int:
    """Return a number of members, if it is two at least.

    Raises:
        ValueError: if it is less; names the option.
    """
    if count < 2:
        raise ValueError(
            f"{name} is {count}, but an ensemble has two members at least, and its spread says little with fewer than "
            "five: give it more, or leave the option out for a single network"
        )
    return count


def _owners(network: nn.Module, names: Mapping[Tensor, str]) -> dict[str, list[tuple[nn.Module, str]]]:
    """Return, by name, the modules that hold a tensor and its attribute there; several share one that is tied."""
    owners: dict[str, list[tuple[nn.Module, str]]] = {}
    for module in network.modules():
        for attribute, value in (*module._parameters.items(), *module._buffers.items()):
            if value is not None and value in names:
                owners.setdefault(names[value], []).append((module, attribute))
    return owners
