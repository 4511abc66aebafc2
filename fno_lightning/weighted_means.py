"""Means over the points of fields, which may weigh differently: those of a grid are alike, those of a cloud are not.

Where fields are split over processes (:func:`~fno_lightning.slabs.split_fields`), means, variances, norms and largest
values are those of the whole fields, the same in all processes that share them: the axes are all axes of the grid then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fno_lightning.slabs import active_slabs, stack, total
from fno_lightning.slabs import largest as largest_of_all


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
    slabs = active_slabs()
    if slabs is not None:
        _refuse(weight)
        return total(values.sum(dim=dims, keepdim=keepdim), slabs) / _n_points(values, dims)
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
    slabs = active_slabs()
    if slabs is not None:
        n = _n_points(values, dims)
        squares = (values - weighted_mean(values, dims, weight, keepdim=True)).square()
        return total(squares.sum(dim=dims), slabs) / (n - correction)
    if weight is None:
        return values.var(dim=dims, correction=correction)
    deviation = values - weighted_mean(values, dims, weight, keepdim=True)
    n_points = count(weight, dims).to(values.dtype)
    scaled = weight * (n_points / (n_points - correction).clamp(min=1))
    return (deviation.square() * scaled.to(values.dtype)).sum(dim=dims) / weight.to(values.dtype).sum(dim=dims)


def largest(values: Tensor, dims: Sequence[int], weight: Tensor | None = None) -> Tensor:
    """Return the largest of values of at least 0 over some axes, among the points whose weight is not 0."""
    slabs = active_slabs()
    found = (values if weight is None else values * (weight > 0)).amax(dim=tuple(dims))
    return found if slabs is None else largest_of_all(found, slabs)


def variance_and_mean(values: Tensor, dims: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the variance of a population and the mean over some axes, which stay with one entry."""
    if active_slabs() is None:
        return torch.var_mean(values, tuple(dims), correction=0, keepdim=True)
    mean = weighted_mean(values, dims, keepdim=True)
    return weighted_mean((values - mean).square(), dims, keepdim=True), mean


def vector_norm(values: Tensor, p: float, dims: Sequence[int]) -> Tensor:
    """Return the p-norm over some axes, accumulated in float32 or better: half precision would overflow."""
    slabs, dtype = active_slabs(), torch.promote_types(values.dtype, torch.float32)
    norm: Tensor = torch.linalg.vector_norm(values, p, dim=tuple(dims), dtype=dtype)
    return norm if slabs is None else torch.linalg.vector_norm(stack(norm, slabs), p, dim=0)


def point_count(grid: Sequence[int]) -> int:
    """Return the number of points of a grid of this shape, or flattened to one axis; of all slabs if it is split."""
    slabs = active_slabs()
    return math.prod(grid) if slabs is None else math.prod(grid) // slabs.size * slabs.n_points


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


def _n_points(values: Tensor, dims: Sequence[int]) -> int:
    return point_count([values.shape[dim] for dim in dims])


def _refuse(weight: Tensor | None) -> None:
    if weight is not None:
        raise ValueError("points that weigh differently are irregular data, which are not split over processes")
