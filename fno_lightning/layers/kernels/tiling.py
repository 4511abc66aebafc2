"""Tiled evaluation of functions of single points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.layers.kernels.dispatch import tile_values, use_tiles


def tiled(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], parameters: Iterable[Tensor]
) -> Float[Tensor, "*point channel"]:
    """Return the value of a function that acts on every point by itself; on a CPU tile by tile.

    A tile stays in the cache from the first operation to the last, and only the inputs are kept for the backward pass,
    which evaluates the function again: less time and less memory than to keep all intermediate results.

    Args:
        function: Maps tensors ``(*point, channel)`` to one; without randomness and without operations between points.
        inputs: Tensors with equal leading axes.
        parameters: Everything else that the function depends on and that gradients are wanted for.
    """
    if not use_tiles(inputs[0]):
        return function(*inputs)
    result: Tensor = _Tiled.apply(function, len(inputs), *inputs, *parameters)  # type: ignore[no-untyped-call]
    return result


class _Tiled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Callable[..., Tensor], n_inputs: int, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        ctx.function, ctx.n_inputs = function, n_inputs
        inputs = tensors[:n_inputs]
        rows = [tensor.flatten(0, -2) for tensor in inputs]
        result = rows[0].new_empty(0)
        for tile in _tiles(rows[0]):
            values = function(*(tensor[tile] for tensor in rows))
            if not len(result):
                result = values.new_empty(len(rows[0]), values.shape[-1])
            result[tile] = values
        return result.view(*inputs[0].shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors  # once: a checkpoint around it gives them only once
        inputs, parameters = tensors[: ctx.n_inputs], tensors[ctx.n_inputs :]
        needed = ctx.needs_input_grad[2:]
        (gradient,) = gradients
        if torch.is_grad_enabled():  # the gradients will be differentiated themselves
            inputs = tuple(tensor.view_as(tensor) for tensor in inputs)  # one may itself depend on another
            wanted = [t for t, is_needed in zip((*inputs, *parameters), needed, strict=True) if is_needed]
            result = ctx.function(*inputs)
            found = iter(torch.autograd.grad(result, wanted, gradient, create_graph=True, allow_unused=True))
            return (None, None, *(next(found) if is_needed else None for is_needed in needed))
        of_inputs, of_parameters = _gradients(ctx.function, inputs, parameters, needed, gradient)
        return (None, None, *of_inputs, *of_parameters)


def _gradients(
    function: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    parameters: Sequence[Tensor],
    needed: Sequence[bool],
    gradient: Tensor,
) -> tuple[list[Tensor | None], list[Tensor | None]]:
    """Return the gradients of the inputs, tile by tile, and of the parameters, summed over the tiles."""
    rows, gradient = [tensor.flatten(0, -2) for tensor in inputs], gradient.flatten(0, -2)
    of_rows = [torch.empty_like(tensor) if wanted else None for tensor, wanted in zip(rows, needed, strict=False)]
    trained = [tensor for tensor, wanted in zip(parameters, needed[len(inputs) :], strict=True) if wanted]
    sums = [torch.zeros_like(tensor) for tensor in trained]
    for tile in _tiles(rows[0]):
        with torch.enable_grad():
            parts = [r[tile].detach().requires_grad_(wanted) for r, wanted in zip(rows, needed, strict=False)]
            values = function(*parts)
        wanted_parts = [part for part in parts if part.requires_grad]
        found = torch.autograd.grad(
            values, [*wanted_parts, *trained], gradient[tile], allow_unused=True, materialize_grads=True
        )
        for whole, part in zip((r for r in of_rows if r is not None), found, strict=False):
            whole[tile] = part
        for total, part in zip(sums, found[len(wanted_parts) :], strict=True):
            total += part
    remaining = iter(sums)
    of_parameters = [next(remaining) if wanted else None for wanted in needed[len(inputs) :]]
    return [None if r is None else r.view_as(x) for r, x in zip(of_rows, inputs, strict=True)], of_parameters


def _tiles(rows: Tensor) -> Iterator[slice]:
    size = max(1, tile_values() // rows.shape[-1])
    return (slice(first, first + size) for first in range(0, len(rows), size))
