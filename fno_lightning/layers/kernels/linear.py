"""Linear maps over the channels of every point."""

from __future__ import annotations

from typing import Any, no_type_check

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fno_lightning.layers.kernels.activation import gelu

_SMALLEST_PRODUCT = 2**21
"""Multiplications from which oneDNN pays on a CPU; below, its call (some 20 µs) costs more than it saves."""

_SMALLEST_TRANSPOSITION = 2**13
"""Points from which the gradient of the weight by oneDNN pays."""


class ChannelLinear(nn.Linear):
    """A linear layer over the last axis, faster than :class:`torch.nn.Linear` for the shapes of an operator on a CPU.

    PyTorch gives float32 products on a CPU to MKL, which on AMD processors reaches less than half of the arithmetic
    that oneDNN does: 98,304 points of 64 channels to 64 took 11.8 ms and 3.8 ms (one core, Zen 5, torch 2.13). Products
    of many points go to oneDNN here. ``torch.backends.mkldnn.flags(enabled=False)`` keeps them all in PyTorch.
    """

    def forward(self, x: Float[Tensor, "*point in_features"]) -> Float[Tensor, "*point out_features"]:
        """Applies the layer to every point."""
        if _pays(x, self.weight):
            y: Tensor = _Linear.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]
            return y
        return F.linear(x, self.weight, self.bias)

    def activated(self, x: Float[Tensor, "*point in_features"]) -> Float[Tensor, "*point out_features"]:
        """Applies the layer and GELU; without gradients both in one pass, where oneDNN does it."""
        if not torch.is_grad_enabled() and _pays(x, self.weight):
            y: Tensor = torch.ops.fno_lightning.linear_gelu(x, self.weight, self.bias)
            return y
        return gelu(self(x))


@no_type_check  # for the compiler, which cannot see through run-time checks here
class _Linear(torch.autograd.Function):
    """Product and its derivatives by oneDNN; differentiable any number of times."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        product: Tensor = torch.ops.fno_lightning.linear(x, weight, bias)
        return product

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
        x, weight, bias = inputs
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        (gradient,) = gradients
        rows, points = gradient.flatten(0, -2), x.flatten(0, -2)
        needs_x, needs_weight, _ = ctx.needs_input_grad
        return (
            _Linear.apply(gradient, weight.t(), None) if needs_x else None,  # type: ignore[no-untyped-call]
            _weight_gradient(rows, points) if needs_weight else None,
            rows.sum(0) if ctx.has_bias else None,
        )


@no_type_check
def _weight_gradient(
    gradient: Float[Tensor, "point out"], x: Float[Tensor, "point channel"]
) -> Float[Tensor, "out channel"]:
    # oneDNN wants the left factor of a product in rows. A compiled graph transposes the smaller one for next to nothing
    # in the kernel that makes it; on its own the transposition would cost more than oneDNN gains.
    is_large = len(x) >= _SMALLEST_TRANSPOSITION and min(gradient.shape[1], x.shape[1]) >= 16
    if not (is_large and torch.compiler.is_compiling()):
        return gradient.t() @ x if gradient.shape[1] <= x.shape[1] else (x.t() @ gradient).t()
    if gradient.shape[1] < x.shape[1]:
        product: Tensor = _Linear.apply(gradient.t().contiguous(), x.t(), None)
        return product
    transposed: Tensor = _Linear.apply(x.t().contiguous(), gradient.t(), None)
    return transposed.t()


def _pays(x: Tensor, weight: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.ndim > 1
        and not torch.is_autocast_enabled("cpu")
        and x.numel() * weight.shape[0] >= _SMALLEST_PRODUCT
        and not torch.compiler.is_exporting()
        and not torch._C._are_functorch_transforms_active()  # torch.func knows PyTorch's own product
        and _has_onednn()
    )


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _has_onednn() -> bool:
    return torch.backends.mkldnn.is_available() and bool(torch.backends.mkldnn.enabled)  # type: ignore[no-untyped-call]


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


def _by_onednn_with_gelu(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    activated: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu", [], "none")
    return activated


def _shape_of_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(*x.shape[:-1], weight.shape[0])


# Names of our own, because torch.compile takes PyTorch's for a layer whose weights never change.
_library = torch.library.Library("fno_lightning", "DEF")  # type: ignore[no-untyped-call]
for _name, _product in (("linear", _by_onednn), ("linear_gelu", _by_onednn_with_gelu)):
    _library.define(f"{_name}(Tensor x, Tensor weight, Tensor? bias) -> Tensor")  # type: ignore[no-untyped-call]
    _library.impl(_name, _product, "CPU")  # type: ignore[no-untyped-call]
    _library.impl(_name, _shape_of_product, "Meta")  # type: ignore[no-untyped-call]
