"""Means over the points of fields, which may weigh differently: those of a grid are alike, those of a cloud are not."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def weighted_mean(
    values: Tensor, dims: Sequence[int], weight: Tensor | None = None, *, keepdim: bool = False
) -> Tensor:
    """Return the mean over some axes.

    Args:
        values: The values.
        dims: The axes.
        weight: Weights that are broadcast against the values, not all of them 0; ``None``: all are alike.
        keepdim: Whether the axes stay, with one entry.
    """
    dims = tuple(dims)
    if weight is None:
        return values.mean(dim=dims, keepdim=keepdim)
    weight = weight.to(values.dtype)
    return (values * weight).sum(dim=dims, keepdim=keepdim) / weight.sum(dim=dims, keepdim=keepdim)


def weighted_variance(
    values: Tensor, dims: Sequence[int], weight: Tensor | None = None, *, correction: int = 1
) -> Tensor:
    """Return the variance over some axes.

    Args:
        values: The values.
        dims: The axes.
        weight: As in :func:`weighted_mean`. Equal weights give the variance without weights.
        correction: The variance is scaled by n / (n - correction), with n the number of points whose weight is not 0;
            that of a single one is 0 where there are weights.
    """
    dims = tuple(dims)
    if weight is None:
        return values.var(dim=dims, correction=correction)
    deviation = values - weighted_mean(values, dims, weight, keepdim=True)
    n_points = count(weight, dims).to(values.dtype)
    scaled = weight * (n_points / (n_points - correction).clamp(min=1))
    return (deviation.square() * scaled.to(values.dtype)).sum(dim=dims) / weight.to(values.dtype).sum(dim=dims)


def largest(values: Tensor, dims: Sequence[int], weight: Tensor | None = None) -> Tensor:
    """Return the largest of values of at least 0 over some axes, among the points whose weight is not 0."""
    return (values if weight is None else values * (weight > 0)).amax(dim=tuple(dims))


def count(weight: Tensor, dims: Sequence[int]) -> Tensor:
    """Return the number of points whose weight is not 0, over some axes, which stay with one entry."""
    return (weight > 0).sum(dim=tuple(dims), keepdim=True)


def norm_factors(weight: Tensor, dims: Sequence[int], p: float) -> Tensor:
    """Return what values are multiplied by before a p-norm over some axes, so that their weights act in it.

    The weights are scaled to a mean of 1 among those that are not 0: equal ones leave the norm as it is.
    """
    dims = tuple(dims)
    scaled = weight * count(weight, dims) / weight.sum(dim=dims, keepdim=True)
    return torch.where(weight > 0, scaled ** (1 / p), 0)
