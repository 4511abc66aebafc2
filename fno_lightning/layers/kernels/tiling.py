"""Tiled evaluation of functions of single points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.layers.kernels.dispatch import tile_values, use_tiles


def tiled(
    function: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    parameters: Iterable[Tensor],
    by_sample: Sequence[Tensor] = (),
) -> Float[Tensor, "*point channel"]:
    """Return the value of a function that acts on every point by itself; on a CPU tile by tile.

    A tile stays in the cache from the first operation to the last, and only the inputs are kept for the backward pass,
    which evaluates the function again: less time and less memory than to keep all intermediate results.

    Args:
        function: Maps tensors ``(*point, channel)`` to one; without randomness and without operations between points.
        inputs: Tensors with equal leading axes.
        parameters: Everything else that the function depends on and that gradients are wanted for.
        by_sample: Tensors ``(batch, *1, channel)`` that the function takes after the inputs, ``(batch, *grid,
            channel)`` then: what is the same at all points of a sample.
    """
    if not use_tiles(inputs[0]):
        return function(*inputs, *by_sample)
    result: Tensor = _Tiled.apply(  # type: ignore[no-untyped-call]
        function, len(inputs), len(by_sample), *inputs, *by_sample, *parameters
    )
    return result


class _Tiled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Callable[..., Tensor], n_inputs: int, n_by_sample: int, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        ctx.function, ctx.n_inputs, ctx.n_arguments = function, n_inputs, n_inputs + n_by_sample
        rows = _rows(tensors[: ctx.n_arguments], n_inputs)
        result = rows[0].new_empty(0)
        for tile in _tiles(rows[0]):
            values = function(*_parts(rows, n_inputs, tile))
            if not len(result):
                result = values.new_empty(*rows[0].shape[:2], values.shape[-1])
            result[tile] = values
        return result.view(*tensors[0].shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors  # once: a checkpoint around it gives them only once
        arguments, parameters = tensors[: ctx.n_arguments], tensors[ctx.n_arguments :]
        needed = ctx.needs_input_grad[3:]
        (gradient,) = gradients
        if torch.is_grad_enabled():  # the gradients will be differentiated themselves
            arguments = tuple(tensor.view_as(tensor) for tensor in arguments)  # one may itself depend on another
            wanted = [t for t, is_needed in zip((*arguments, *parameters), needed, strict=True) if is_needed]
            result = ctx.function(*arguments)
            found = iter(torch.autograd.grad(result, wanted, gradient, create_graph=True, allow_unused=True))
            return (None, None, None, *(next(found) if is_needed else None for is_needed in needed))
        of_arguments, of_parameters = _gradients(ctx.function, ctx.n_inputs, arguments, parameters, needed, gradient)
        return (None, None, None, *of_arguments, *of_parameters)


def _gradients(
    function: Callable[..., Tensor],
    n_inputs: int,
    arguments: Sequence[Tensor],
    parameters: Sequence[Tensor],
    needed: Sequence[bool],
    gradient: Tensor,
) -> tuple[list[Tensor | None], list[Tensor | None]]:
    """Return the gradients of the arguments and of the parameters.

    Those of the inputs are found tile by tile, all others are sums over tiles.
    """
    rows = _rows(arguments, n_inputs)
    gradient = gradient.reshape(*rows[0].shape[:2], -1)
    of_rows = [
        (torch.empty_like(row) if argument < n_inputs else torch.zeros_like(row)) if wanted else None
        for argument, (row, wanted) in enumerate(zip(rows, needed, strict=False))
    ]
    trained = [tensor for tensor, wanted in zip(parameters, needed[len(arguments) :], strict=True) if wanted]
    sums = [torch.zeros_like(tensor) for tensor in trained]
    for tile in _tiles(rows[0]):
        parts = _parts(rows, n_inputs, tile)
        with torch.enable_grad():
            parts = [part.detach().requires_grad_(wanted) for part, wanted in zip(parts, needed, strict=False)]
            values = function(*parts)
        wanted_parts = [part for part in parts if part.requires_grad]
        found = iter(
            torch.autograd.grad(
                values, [*wanted_parts, *trained], gradient[tile], allow_unused=True, materialize_grads=True
            )
        )
        for argument, whole in enumerate(of_rows):
            if whole is not None and argument < n_inputs:
                whole[tile] = next(found)
            elif whole is not None:
                whole[tile[0]] += next(found)
        for total, part in zip(sums, found, strict=True):
            total += part
    remaining = iter(sums)
    of_parameters = [next(remaining) if wanted else None for wanted in needed[len(arguments) :]]
    return [None if r is None else r.view_as(x) for r, x in zip(of_rows, arguments, strict=True)], of_parameters


def _rows(arguments: Sequence[Tensor], n_inputs: int) -> list[Tensor]:
    """View arguments as ``(sample, point, channel)``; as those of one sample, unless there are any by sample."""
    if len(arguments) == n_inputs:
        return [tensor.flatten(0, -2).unsqueeze(0) for tensor in arguments]
    return [tensor.flatten(1, -2) for tensor in arguments]


def _parts(rows: Sequence[Tensor], n_inputs: int, tile: tuple[slice, slice]) -> list[Tensor]:
    """Return a tile of the inputs, and of the others the samples in it."""
    return [*(tensor[tile] for tensor in rows[:n_inputs]), *(tensor[tile[0]] for tensor in rows[n_inputs:])]


def _tiles(rows: Tensor) -> Iterator[tuple[slice, slice]]:
    """Return the slices of samples and points: some whole samples, or some points of one."""
    n_samples, n_points, n_channels = rows.shape
    size = max(1, tile_values() // n_channels)
    samples, points = max(1, size // max(1, n_points)), min(size, n_points)
    for sample in range(0, n_samples, samples):
        for point in range(0, n_points, points):
            yield slice(sample, sample + samples), slice(point, point + points)
