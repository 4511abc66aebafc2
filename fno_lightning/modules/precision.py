"""What a precision of 16 bits can hold of fields in physical units."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fno_lightning.data import FieldSpec
from fno_lightning.modules.normalization import Normalizer, ZScore

_HALF = {"16-true": torch.float16, "bf16-true": torch.bfloat16}
"""Precisions of a Trainer that cast a batch before the module sees it."""

_LARGEST_ERROR = 0.02
"""Largest acceptable rounding error, root mean square, as a fraction of a channel's spread."""

_N_SPREADS = 8
"""Distance from the mean, in standard deviations, that values may have."""

_N_SPREADS_OF_LOGARITHMS = 3
"""The same for logarithms of scalars, which are chosen, not simulated."""


def require_precision(precision: str, normalizer: Normalizer, spec: FieldSpec) -> None:
    """Check that a Trainer's precision can hold the data in physical units.

    With ``bf16-true`` and ``16-true`` Lightning rounds a batch before it is normalised, so that a pressure of 101325 ±
    100 Pa becomes a constant, and 1e5 is infinite in ``16-true``.

    Args:
        precision: The trainer's precision, e.g. ``bf16-mixed``.
        normalizer: Statistics of the train split.
        spec: Description of the data.

    Raises:
        ValueError: if the values of a channel are out of range, or rounding exceeds 2 % of its spread.
    """
    dtype = _HALF.get(precision)
    if dtype is None:
        return
    groups = (
        ("field", spec.fields, normalizer.fields),
        ("constant field", spec.constant_fields, normalizer.constants),
        ("scalar", spec.scalars, normalizer.scalars),
    )
    for kind, names, zscore in groups:
        for channel, name in enumerate(names):
            is_log = kind == "scalar" and bool(normalizer.is_log[channel])
            if obstacle := _obstacle(zscore, channel, dtype, is_log=is_log):
                raise ValueError(
                    f"precision={precision} rounds the data before they are normalised, and it cannot hold the {kind} "
                    f"{name!r} of {spec.dataset_name}, {obstacle}: use bf16-mixed or 32-true"
                )


def _obstacle(zscore: ZScore, channel: int, dtype: torch.dtype, *, is_log: bool) -> str | None:
    """Return what cannot be held of a channel, of any member; ``None``: nothing."""
    if is_log:
        return _obstacle_of_logarithm(zscore, channel, dtype)
    limits = torch.finfo(dtype)
    mean, std, varies = (_column(statistic, channel) for statistic in (zscore.mean, zscore.std, zscore.varies))
    for centre, spread, does_vary in zip(mean, std, varies, strict=True):
        if not does_vary:
            spread = 0.0
        size = math.hypot(centre, spread)
        error = size * limits.eps / (2 * math.sqrt(3))  # of rounding to nearest, at the lower end of a binade
        if abs(centre) + _N_SPREADS * spread > limits.max:
            return f"whose values reach {abs(centre) + spread:.3g}: the largest number is {limits.max:.3g}"
        if does_vary and spread < limits.smallest_normal / limits.eps:
            return (
                f"whose spread is {spread:.3g}: the smallest number of full precision is {limits.smallest_normal:.3g}"
            )
        if does_vary and error > _LARGEST_ERROR * spread:
            return (
                f"{centre:.7g} ± {spread:.3g}: its rounding error of {error:.2g} is {error / spread:.2g} of the spread"
            )
    return None


def _obstacle_of_logarithm(zscore: ZScore, channel: int, dtype: torch.dtype) -> str | None:
    """Return what cannot be held of a scalar that enters by its logarithm, where rounding is an absolute error."""
    limits, centre, spread = torch.finfo(dtype), float(zscore.mean[channel]), float(zscore.std[channel])
    error = limits.eps / (2 * math.sqrt(3))
    smallest, largest = centre - _N_SPREADS_OF_LOGARITHMS * spread, centre + _N_SPREADS_OF_LOGARITHMS * spread
    if largest > math.log(limits.max) or smallest < math.log(limits.smallest_normal):
        return (
            f"whose logarithm is {centre:.3g} ± {spread:.3g}: the numbers of full precision go from "
            f"{limits.smallest_normal:.3g} to {limits.max:.3g}"
        )
    if error > _LARGEST_ERROR * spread:
        return f"whose rounding error is {error / spread:.2g} of the spread of its logarithm"
    return None


def _column(statistic: Tensor, channel: int) -> list[float]:
    values: list[float] = statistic.view(-1, statistic.shape[-1])[:, channel].tolist()
    return values
