"""The diffusion solver against exact solutions and sparse direct solves."""

import math

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from scipy.sparse.linalg import spsolve

from fno_lightning.pdes.inputs.permeability import ThresholdedGaussian
from fno_lightning.pdes.solvers.multigrid import FaceCoefficients, harmonic_faces, solve_diffusion
from fno_lightning.pdes.solvers.multigrid.coarsening import Spacing, coarsened
from fno_lightning.pdes.solvers.multigrid.conductances import face_conductances, net_outflow
from fno_lightning.pdes.solvers.multigrid.red_black import DiffusionOperator, RedBlackLayout


def centres(n):
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


def mesh(n_x, n_y):
    return torch.meshgrid(centres(n_x), centres(n_y), indexing="ij")


def unit_source(k):
    return torch.ones_like(k)


def solve(k, source=None, **options):
    spacing = (1 / k.shape[1], 1 / k.shape[2])
    return solve_diffusion(harmonic_faces(k), unit_source(k) if source is None else source, spacing, **options)


def thresholded(n_x, n_y, seeds=(0,), contrast=4.0):
    return ThresholdedGaussian(high=contrast, low=1.0).sample(seeds, (centres(n_x), centres(n_y)))


def assembled(k):
    """The sparse matrix of the discrete equation times the cell's area, written cell by cell from its definition."""
    n_x, n_y = k.shape
    ratios = (n_x / n_y, n_y / n_x)
    matrix = sparse.lil_matrix((n_x * n_y, n_x * n_y))
    for i in range(n_x):
        for j in range(n_y):
            for axis, di, dj in ((0, -1, 0), (0, 1, 0), (1, 0, -1), (1, 0, 1)):
                a, b = i + di, j + dj
                cell, inside = i * n_y + j, 0 <= a < n_x and 0 <= b < n_y
                face = 2 / (1 / k[i, j] + 1 / k[a, b]) if inside else 2 * k[i, j]
                matrix[cell, cell] += face * ratios[axis]
                if inside:
                    matrix[cell, a * n_y + b] = -face * ratios[axis]
    return matrix.tocsr()


def direct(k):
    n_x, n_y = k.shape
    return spsolve(assembled(k.numpy()), np.full(n_x * n_y, 1 / (n_x * n_y))).reshape(n_x, n_y)


@pytest.mark.parametrize(
    ("n_x", "n_y"), [(4, 4), (5, 7), (16, 16), (23, 23), (31, 32), (12, 40), (48, 6), (1, 9), (97, 1)]
)
def test_agrees_with_a_sparse_direct_solve(n_x, n_y):
    k = thresholded(n_x, n_y) if min(n_x, n_y) > 1 else torch.rand(1, n_x, n_y, dtype=torch.float64) + 0.5
    solved = solve(k)
    exact = direct(k[0])
    assert np.abs(solved.p[0].numpy() - exact).max() < 1e-7 * np.abs(exact).max()
    assert solved.residual.item() < 1.01e-8


@pytest.mark.parametrize("contrast", [1e-4, 1e2, 1e4])
def test_large_jumps_of_the_coefficient(contrast):
    k = thresholded(33, 33, seeds=(1,), contrast=contrast)
    solved = solve(k)
    exact = direct(k[0])
    assert np.abs(solved.p[0].numpy() - exact).max() < 1e-6 * np.abs(exact).max()


def test_a_board_of_jumps():
    """Inclusions that touch at their corners only, where the flow is singular."""
    x, y = mesh(40, 40)
    k = torch.where((torch.floor(8 * x) + torch.floor(8 * y)) % 2 == 0, 1.0, 1e4).double()[None]
    solved = solve(k)
    exact = direct(k[0])
    assert np.abs(solved.p[0].numpy() - exact).max() < 1e-6 * np.abs(exact).max()
    assert solved.n_iterations.item() < 30


@pytest.mark.parametrize(("contrast", "most"), [(1.0, 7), (4.0, 8)])
def test_iterations_do_not_grow_with_the_grid(contrast, most):
    for n in (32, 64, 127, 256):
        assert solve(thresholded(n, n, contrast=contrast)).n_iterations.item() <= most


def test_anisotropic_cells():
    """Ten times as long as wide: coarsened along the short edges first."""
    assert solve(thresholded(12, 120)).n_iterations.item() <= 10


def errors_of_a_smooth_solution(sizes):
    """Errors of p = sin πx sin 2πy e^x with k = 2 + cos πx sin 3y; the source is differentiated automatically."""
    for n_x, n_y in sizes:
        x, y = (axis.requires_grad_() for axis in mesh(n_x, n_y))
        p = torch.sin(math.pi * x) * torch.sin(2 * math.pi * y) * torch.exp(x)
        k = 2 + torch.cos(math.pi * x) * torch.sin(3 * y)
        flows = [k * derivative for derivative in torch.autograd.grad(p.sum(), (x, y), create_graph=True)]
        source = -sum(
            torch.autograd.grad(flow.sum(), axis, retain_graph=True)[0]
            for flow, axis in zip(flows, (x, y), strict=True)
        )
        solved = solve(k.detach()[None], source[None])
        yield (solved.p[0] - p.detach()).square().mean().sqrt().item()


@pytest.mark.parametrize("shape", [(1, 1), (1, 2)])
def test_second_order_on_a_smooth_solution(shape):
    coarse, middle, fine = errors_of_a_smooth_solution([(n * shape[0], n * shape[1]) for n in (20, 40, 80)])
    assert fine < 1e-3
    for one, next_one in ((coarse, middle), (middle, fine)):
        assert math.log2(one / next_one) == pytest.approx(2, abs=0.05)


def test_constant_coefficient_against_the_fourier_series():
    """-k Δp = 1 has the coefficients 16 / (π² i j) / k π² (i² + j²) of sin iπx sin jπy, i and j odd."""
    k, odd = 2.5, torch.arange(1, 400, 2, dtype=torch.float64)
    coefficients = 16 / (math.pi**4 * k) / (odd[:, None] * odd * (odd[:, None].square() + odd.square()))
    errors = []
    for n in (32, 64):
        sines = torch.sin(math.pi * odd[:, None] * centres(n))
        exact = sines.T @ coefficients @ sines
        solved = solve(torch.full((1, n, n), k, dtype=torch.float64)).p[0]
        errors.append(((solved - exact).norm() / exact.norm()).item())
    assert errors[1] < 6e-4
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.05)


def test_flow_across_layers_is_exact():
    """Between layers across x, far from the sides, harmonic means give the flow of one dimension without error."""
    n = 8
    k = torch.tensor([1.0, 1, 1, 1000, 1000, 3, 3, 3], dtype=torch.float64)
    t = face_conductances(harmonic_faces(k[None, :, None].expand(1, n, n).contiguous()), (1 / n, 1 / n))
    resistance = (1 / t.x[0, :, 0]).sum() / n
    assert resistance.item() == pytest.approx((1 / k).mean().item(), rel=1e-12)


def test_what_flows_out_is_the_source():
    """From k p' on the boundary, written out, and not from the solver's own balance."""
    k = thresholded(37, 50, seeds=range(5), contrast=100.0)
    source = 1 + torch.rand_like(k)
    solved = solve(k, source)
    h_x, h_y = 1 / 37, 1 / 50
    p = solved.p
    through_x = (k[:, 0] * p[:, 0] + k[:, -1] * p[:, -1]).sum(dim=1) / (h_x / 2) * h_y
    through_y = (k[:, :, 0] * p[:, :, 0] + k[:, :, -1] * p[:, :, -1]).sum(dim=1) / (h_y / 2) * h_x
    torch.testing.assert_close(through_x + through_y, source.mean(dim=(1, 2)), rtol=1e-7, atol=0)
    assert (solved.imbalance < 1e-7).all()


def test_a_solution_does_not_depend_on_its_batch():
    k = torch.cat([thresholded(32, 32, seeds=(0,)), thresholded(32, 32, seeds=(1,), contrast=1e4)])
    together = solve(k)
    assert together.n_iterations[0] < together.n_iterations[1]
    for sample in (0, 1):
        alone = solve(k[sample : sample + 1])
        torch.testing.assert_close(together.p[sample], alone.p[0], rtol=1e-12, atol=0)
        assert together.n_iterations[sample] == alone.n_iterations[0]


def test_large_batches_are_solved_in_pieces(monkeypatch):
    k = thresholded(16, 16, seeds=range(5))
    whole = solve(k)
    monkeypatch.setattr("fno_lightning.pdes.solvers.multigrid.diffusion.CPU_POINTS_AT_ONCE", 2 * 16 * 16)
    pieces = solve(k)
    for one, other in zip(whole, pieces, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-12)


def test_units_do_not_matter():
    k = thresholded(24, 24)
    reference = solve(k)
    scaled = solve(1e-12 * k, 1e9 * unit_source(k))
    torch.testing.assert_close(scaled.p * 1e-21, reference.p, rtol=1e-7, atol=0)
    assert scaled.n_iterations == reference.n_iterations


def test_no_source_no_pressure():
    solved = solve(thresholded(8, 8), torch.zeros(1, 8, 8, dtype=torch.float64))
    assert solved.p.abs().max() == 0
    assert solved.residual.item() == solved.imbalance.item() == solved.n_iterations.item() == 0


def test_too_few_iterations_show_in_the_residual():
    solved = solve(thresholded(32, 32, seeds=(0, 1)), max_iterations=3)
    assert (solved.residual > 1e-7).all()
    assert (solved.residual < 1e-2).all()


@pytest.mark.parametrize(("n_x", "n_y"), [(6, 6), (5, 8), (8, 5), (7, 3)])
def test_the_coloured_operator_is_the_matrix(n_x, n_y):
    k = torch.rand(3, n_x, n_y, dtype=torch.float64) + 0.1
    p = torch.randn(3, n_x, n_y, dtype=torch.float64)
    t = face_conductances(harmonic_faces(k), (1 / n_x, 1 / n_y))
    layout = RedBlackLayout(3, n_x, n_y)
    coloured = layout.merged(DiffusionOperator(layout, t)(layout.coloured(p)))
    for sample in range(3):
        expected = (assembled(k[sample].numpy()) @ p[sample].flatten().numpy()).reshape(n_x, n_y)
        np.testing.assert_allclose(coloured[sample].numpy(), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(net_outflow(t, p)[0], coloured, rtol=0, atol=1e-12)


def test_coarse_conductances_of_a_constant_coefficient_are_those_of_the_coarse_grid():
    fine, coarse = (
        face_conductances(harmonic_faces(torch.full((1, n, n), 3.0, dtype=torch.float64)), (1 / n, 1 / n))
        for n in (8, 4)
    )
    grids = coarsened(fine, (True, True))
    torch.testing.assert_close(grids.t.x, coarse.x)
    torch.testing.assert_close(grids.t.y, coarse.y)
    assert (grids.next_x[:, 2:-2] == 0.25).all()


def test_closest_cells_are_merged_first():
    assert Spacing(0.1, 0.1).axes((10, 10)) == (True, True)
    assert Spacing(0.1, 0.01).axes((10, 100)) == (False, True)
    assert Spacing(0.01, 0.1).axes((1, 10)) == (False, True)


def test_precision_of_the_result():
    k = thresholded(16, 16)
    faces = FaceCoefficients(*harmonic_faces(k))
    assert solve_diffusion(faces, unit_source(k), (1 / 16, 1 / 16)).p.dtype == torch.float64
