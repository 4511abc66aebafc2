r"""Diffusion with a coefficient that varies in space: :math:`-\nabla \cdot (k \nabla p) = f`, p = 0 on the boundary."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fno_lightning.pdes.solvers.multigrid.coarsening import Spacing
from fno_lightning.pdes.solvers.multigrid.conductances import (
    Conductances,
    FaceCoefficients,
    face_conductances,
    net_outflow,
)
from fno_lightning.pdes.solvers.multigrid.cycle import Multigrid
from fno_lightning.pdes.solvers.multigrid.red_black import Coloured, DiffusionOperator, RedBlackLayout

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
    """Solve A x = b for each sample, until the residual is below the tolerance.

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


CPU_POINTS_AT_ONCE = 2**18
"""Grid points that a CPU solves for in one batch, so that the fields stay in its cache."""


class DiffusionSolution(NamedTuple):
    """Solved samples.

    Attributes:
        p: The solution in the cell centres, ``(batch, n_x, n_y)``.
        residual: Norm of the residual over that of the source, of every sample.
        imbalance: What flows out through the boundary minus the integral of the source, over the integral of the
            source's absolute value, of every sample.
        n_iterations: Iterations of every sample.
    """

    p: Float[Tensor, "batch x y"]
    residual: Float[Tensor, " batch"]
    imbalance: Float[Tensor, " batch"]
    n_iterations: Float[Tensor, " batch"]


@torch.no_grad()
def solve_diffusion(
    k: FaceCoefficients,
    source: Float[Tensor, "batch x y"],
    spacing: tuple[float, float],
    *,
    tolerance: float = 1e-8,
    max_iterations: int = 200,
) -> DiffusionSolution:
    r"""Solve :math:`-\nabla \cdot (k \nabla p) = f` by finite volumes of second order.

    A cell's outflow through its four faces balances its source; the boundary, half a cell from the nearest centres, is
    held at 0. The linear system is solved by conjugate gradients in float64 with a multigrid preconditioner in float32:
    7 to 9 iterations whatever the grid while the coefficient varies smoothly or by small jumps, 30 to 75 if it jumps by
    a factor of 10,000. There is no error if a sample does not converge: look at its residual.

    Args:
        k: Coefficient on the faces, positive.
        source: f, in the cell centres; float64.
        spacing: Edges of a cell along x and y.
        tolerance: Relative residual to reach.
        max_iterations: Iterations after which to give up.
    """
    n_samples, n_points = len(source), source[0].numel()
    size = max(1, CPU_POINTS_AT_ONCE // n_points) if source.device.type == "cpu" else n_samples
    parts = []
    for first in range(0, n_samples, size):
        piece = slice(first, first + size)
        t = face_conductances(FaceCoefficients(k.x[piece], k.y[piece]), spacing)
        parts.append(_solve(t, source[piece], spacing, tolerance, max_iterations))
    return DiffusionSolution(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _solve(
    t: Conductances, source: Tensor, spacing: tuple[float, float], tolerance: float, max_iterations: int
) -> DiffusionSolution:
    layout = RedBlackLayout(len(source), *t.n_cells)
    b = source * (spacing[0] * spacing[1])
    norm = torch.linalg.vector_norm(b, dim=(1, 2), keepdim=True)
    norm = torch.where(norm > 0, norm, 1.0)
    solvable = _solvable(t, norm)
    t = Conductances(*(torch.where(solvable, conductance, 1.0) for conductance in t))
    coloured, n_iterations = conjugate_gradients(
        DiffusionOperator(layout, t),
        Multigrid(Conductances(t.x.float(), t.y.float()), Spacing(*spacing)),
        layout.coloured(torch.where(solvable, b / norm, 0.0)),
        layout,
        tolerance=tolerance,
        max_iterations=max_iterations,
    )
    p = torch.where(solvable, layout.merged(coloured) * norm, math.nan)
    outflow, total = net_outflow(t, p)
    residual = torch.linalg.vector_norm(outflow - b, dim=(1, 2)) / norm[:, 0, 0]
    return DiffusionSolution(p, residual, _imbalance(total, b), n_iterations)


def _solvable(t: Conductances, norm: Float[Tensor, "batch 1 1"]) -> Bool[Tensor, "batch 1 1"]:
    """Samples that single precision can represent; the others would spoil those that they share a vector with."""
    proper = norm[:, 0, 0].isfinite()
    for conductance in t:
        single = conductance.float()
        proper = proper & ((single > 0) & single.isfinite()).flatten(1).all(dim=1)
    return proper[:, None, None]


def _imbalance(outflow: Float[Tensor, " batch"], source: Float[Tensor, "batch x y"]) -> Float[Tensor, " batch"]:
    total = source.abs().sum(dim=(1, 2))
    return (outflow - source.sum(dim=(1, 2))).abs() / torch.where(total > 0, total, 1.0)
