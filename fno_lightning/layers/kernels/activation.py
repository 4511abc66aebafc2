"""GELU, with cheaper formulas in code compiled for a CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, no_type_check

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fno_lightning.layers.kernels.dispatch import use_approximate_gelu


def gelu(x: Float[Tensor, ...]) -> Float[Tensor, ...]:
    r"""Gaussian error linear unit, :math:`x\,\Phi(x)` with the normal distribution function Φ.

    Compiled for a CPU, the error function and the exponentials would take a good part of a training step, so there

    * in bfloat16, Φ and the derivative are odd polynomials plus a half. Their errors, 6e-5 and 2.1e-4 at most, are far
      below the rounding of bfloat16 (4e-3).
    * in float32, the derivative needs one exponential for both of its terms, by the approximation 7.1.26 of Abramowitz
      and Stegun, whose error of 1e-7 is that of float32.

    Reference: Hendrycks and Gimpel 2016, arXiv:1606.08415.
    """
    if not use_approximate_gelu(x):
        return F.gelu(x)
    formula = _PolynomialGELU if x.dtype == torch.bfloat16 else _OneExponentialGELU
    result: Tensor = formula.apply(x)  # type: ignore[no-untyped-call]
    return result


# Coefficients of s, s³, s⁵, ... that minimise the largest error over |s| below the limit (reweighted least squares).
_DISTRIBUTION_LIMIT = 4.0
_DISTRIBUTION: tuple[float, ...] = (
    3.98847491e-01,
    -6.61753340e-02,
    9.66484259e-03,
    -1.04819473e-03,
    8.06658844e-05,
    -4.10074056e-06,
    1.21705784e-07,
    -1.58069637e-09,
)
_DERIVATIVE_LIMIT = 4.5
_DERIVATIVE: tuple[float, ...] = (
    7.97626082e-01,
    -2.64925496e-01,
    5.86091432e-02,
    -8.81579593e-03,
    9.40528492e-04,
    -7.12202718e-05,
    3.72180624e-06,
    -1.26799507e-07,
    2.52117306e-09,
    -2.21064984e-11,
)

# erf(z) = 1 - (a₁ t + ... + a₅ t⁵) exp(-z²), t = 1 / (1 + p z): Abramowitz and Stegun 1964, 7.1.26.
_ERROR_FUNCTION_SCALE = 0.3275911
_ERROR_FUNCTION: tuple[float, ...] = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)


@no_type_check  # for the compiler, which cannot see through run-time checks here
class _PolynomialGELU(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        single = x.float()
        return (single * _half_plus_odd(single, _DISTRIBUTION, _DISTRIBUTION_LIMIT)).to(x.dtype)  # type: ignore[no-any-return]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,), (gradient,) = ctx.saved_tensors, gradients
        slope = _half_plus_odd(x.float(), _DERIVATIVE, _DERIVATIVE_LIMIT)
        return (gradient.float() * slope).to(gradient.dtype)  # type: ignore[no-any-return]


@no_type_check
def _half_plus_odd(x: Tensor, coefficients: Sequence[float], limit: float) -> Tensor:
    s = x.clamp(-limit, limit)
    return 0.5 + s * _polynomial(coefficients, s * s)


@no_type_check
def _polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    """Return the polynomial with these coefficients, the constant first, by Horner's rule."""
    value = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value


@no_type_check  # for the compiler, which cannot see through run-time checks here
class _OneExponentialGELU(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return F.gelu(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,), (gradient,) = ctx.saved_tensors, gradients
        return gradient * _slope(x)  # type: ignore[no-any-return]


@no_type_check
def _slope(x: Tensor) -> Tensor:
    """Return the derivative Φ(x) + x φ(x)."""
    exponential = torch.exp(-0.5 * x * x)
    t = 1 / (1 + _ERROR_FUNCTION_SCALE * math.sqrt(0.5) * x.abs())
    tail = 0.5 * _polynomial(_ERROR_FUNCTION, t) * t * exponential
    return torch.where(x < 0, tail, 1 - tail) + x * exponential * (1 / math.sqrt(2 * math.pi))
