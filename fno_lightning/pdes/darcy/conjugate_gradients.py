"""Preconditioned conjugate gradients for a batch of independent linear systems."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.pdes.darcy.red_black import Coloured, RedBlackLayout

TEST_EVERY = 4
"""Iterations between two tests for convergence on a GPU, which must be waited for."""


def conjugate_gradients(
    operator: Callable[[Coloured], Coloured],
    preconditioner: Callable[[Coloured], Coloured],
    b: Coloured,
    layout: RedBlackLayout,
    *,
    tolerance: float,
    max_iterations: int,
) -> tuple[Coloured, Float[Tensor, " batch"]]:
    """Solves A x = b for each sample, until the residual is below the tolerance.

    A sample that has converged does not change any more, so its solution does not depend on the batch. The variant is
    the flexible one of Golub and Ye, SIAM J. Sci. Comput. 21 (1999), which forgives a preconditioner that is symmetric
    only to single precision.

    Args:
        operator: A, symmetric and positive definite.
        preconditioner: An approximate inverse of A, in float32.
        b: Right-hand sides, of norm 1 or 0.
        layout: Layout of the fields.
        tolerance: Largest norm of a residual.
        max_iterations: Iterations after which to give up.

    Returns:
        x, and the number of iterations that each sample took.
    """
    x, residual = torch.zeros_like(b), b.clone()
    active = layout.squared_norm(b) > tolerance**2
    n_iterations = torch.zeros_like(active, dtype=b.dtype)
    direction = z = preconditioner(residual.float()).double()
    slope = layout.dot(residual, z)
    period = 1 if b.device.type == "cpu" else TEST_EVERY
    for iteration in range(1, max_iterations + 1):
        image = operator(direction)
        step = torch.where(active, slope / layout.dot(direction, image), 0.0)
        layout.add_multiple(x, step, direction)
        layout.add_multiple(residual, -step, image)
        n_iterations += active
        active = layout.squared_norm(residual) > tolerance**2
        if iteration % period == 0 and not bool(active.any()):
            break
        z = preconditioner(residual.float()).double()
        next_slope = layout.dot(residual, z)
        turn = torch.where(active, -step * layout.dot(z, image) / slope, 0.0)
        direction = layout.add_multiple(z, turn, direction)
        slope = next_slope
    return x, n_iterations
