"""Complex products written with real tensors.

A complex tensor is a real one with an axis of parts, the real and the imaginary part; a real tensor has one part.
Weights, optimizers, mixed precision, compilers and collectives therefore handle real numbers only.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def combine_parts(products: Float[Tensor, ...], dim: int) -> Float[Tensor, ...]:
    """Return the complex product from the products of all parts, one factor's along ``dim``, the other's last."""
    if products.shape[-1] == 1:
        return products.squeeze(-1)
    left_real, left_imaginary = products.unbind(dim)
    real = left_real[..., 0] - left_imaginary[..., 1]
    imaginary = left_real[..., 1] + left_imaginary[..., 0]
    return torch.stack([real, imaginary], dim % products.ndim)


def einsum_parts(equation: str, left: Float[Tensor, ...], right: Float[Tensor, ...]) -> Float[Tensor, ...]:
    """Return the complex :func:`torch.einsum` of two tensors; the equation leaves out their last axis, the parts."""
    inputs, output = equation.split("->")
    first, second = inputs.split(",")
    return combine_parts(torch.einsum(f"{first}Y,{second}Z->{output}YZ", left, right), -2)


def project_channels(
    coefficients: Float[Tensor, "batch part *mode channel"], matrix: Float[Tensor, "channel rank part"]
) -> Float[Tensor, "batch part *mode rank"]:
    """Multiply the channels by one complex matrix, the same for every mode."""
    products = coefficients @ matrix.flatten(1)
    return combine_parts(torch.unflatten(products, -1, matrix.shape[1:]), 1)


def mix_channels(
    coefficients: Float[Tensor, "batch part *mode channel"], kernel: Float[Tensor, "*mode channel out part"]
) -> Float[Tensor, "batch part *mode out"]:
    """Multiply the channels of every mode by its own complex matrix.

    One batched product over the modes reads the kernel once, as it is stored: the parts of the coefficients are rows
    beside the batch, the parts of the kernel are columns.
    """
    batch, n_parts, *modes, in_channels = coefficients.shape
    rows = coefficients.flatten(2, -2).permute(2, 0, 1, 3).reshape(-1, batch * n_parts, in_channels)
    products = torch.bmm(rows, kernel.flatten(-2).flatten(0, -3))
    products = products.view(-1, batch, n_parts, kernel.shape[-2], n_parts)
    mixed = combine_parts(products, 2).permute(1, 2, 0, 3)
    return torch.unflatten(mixed, 2, modes)
