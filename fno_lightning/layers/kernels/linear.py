"""Products of the channels of many points with a weight, by oneDNN.

PyTorch gives float32 products on a CPU to MKL, which on AMD processors reaches less than half of the arithmetic that
oneDNN does. ``torch.backends.mkldnn.flags(enabled=False)`` keeps them all in PyTorch.
"""

from __future__ import annotations

from typing import Any, no_type_check

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fno_lightning.layers.kernels.activation import gelu
from fno_lightning.layers.kernels.dispatch import use_onednn

_SMALLEST_TRANSPOSITION = 2**13
"""Smallest number of points for which oneDNN computes the gradient of the weight faster."""


def affine(
    x: Float[Tensor, "*point channel"], weight: Float[Tensor, "out channel"], bias: Float[Tensor, " out"] | None
) -> Float[Tensor, "*point out"]:
    """Return ``x @ weight.T + bias``."""
    if not use_onednn(x, weight):
        return F.linear(x, weight, bias)
    y: Tensor = _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return y


def affine_gelu(
    x: Float[Tensor, "*point channel"], weight: Float[Tensor, "out channel"], bias: Float[Tensor, " out"] | None
) -> Float[Tensor, "*point out"]:
    """Return ``gelu(x @ weight.T + bias)``; without gradients oneDNN does both in one pass."""
    if torch.is_grad_enabled() or not use_onednn(x, weight):
        return gelu(affine(x, weight, bias))
    y: Tensor = torch.ops.fno_lightning.linear_gelu(x, weight, bias)
    return y


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


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


def _by_onednn_with_gelu(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    activated: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu", [], "none")
    return activated


def _shape_of_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(*x.shape[:-1], weight.shape[0])


# Registered at import, because a graph that is compiled needs operators with a name; a name of this package, because
# torch.compile takes PyTorch's own for a layer whose weights never change.
_library = torch.library.Library("fno_lightning", "DEF")  # type: ignore[no-untyped-call]
for _name, _product in (("linear", _by_onednn), ("linear_gelu", _by_onednn_with_gelu)):
    _library.define(f"{_name}(Tensor x, Tensor weight, Tensor? bias) -> Tensor")  # type: ignore[no-untyped-call]
    _library.impl(_name, _product, "CPU")  # type: ignore[no-untyped-call]
    _library.impl(_name, _shape_of_product, "Meta")  # type: ignore[no-untyped-call]
