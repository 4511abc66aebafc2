"""Patches of a field beside neuralop's and a plain loop, and networks that are applied to them."""

import itertools

import numpy as np
import pytest
import torch
from neuralop.training.patching import MultigridPatching2D
from torch import nn

from fno_lightning.models import FNO
from fno_lightning.modules import MultigridPatching
from fno_lightning.modules.patch_windows import PatchAxis
from tests.benchmarks.rows.memory import peak_bytes

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def field(*grid, n_samples=2, n_channels=3, seed=0):
    return torch.randn(n_samples, n_channels, *grid, generator=torch.Generator().manual_seed(seed)).double()


def convolutions(n_dims, kernel_sizes=(3,), channels=3, padding_mode="circular"):
    torch.manual_seed(0)
    conv = CONVOLUTIONS[n_dims - 1]
    layers = [conv(channels, channels, k, padding=k // 2, padding_mode=padding_mode) for k in kernel_sizes]
    return nn.Sequential(*itertools.chain(*((layer, nn.Tanh()) for layer in layers))).double()


def loss_and_gradients(apply, network, x):
    x = x.clone().requires_grad_()
    loss = (apply(x) - 1).square().mean()
    return loss, torch.autograd.grad(loss, [x, *network.parameters()])


@pytest.mark.parametrize(
    ("levels", "fraction", "grid"),
    [(1, 0.125, (32, 32)), (1, 0.25, (16, 48)), (2, 0.0625, (32, 96)), (2, 0.125, (64, 32))],
)
def test_patches_are_those_of_neuralop_where_its_surroundings_are_centred(levels, fraction, grid):
    x = field(*grid)
    expected, _ = MultigridPatching2D(nn.Identity(), levels=levels, padding_fraction=fraction).patch(x, x)
    patching = MultigridPatching([2**levels] * 2, halo=fraction, levels=levels, positions=False)
    assert torch.equal(patching.patch(x), expected)


@pytest.mark.parametrize(
    ("grid", "n_patches", "halo", "periodic"),
    [
        ((12,), [3], 2, [True]),
        ((12,), [3], 4, [False]),
        ((12, 10), [3, 5], [4, 0.2], [True, False]),
        ((6, 8, 5), [2, 4, 1], [1, 2, 3], [False, True, False]),
    ],
)
def test_windows_are_those_of_a_plain_loop(grid, n_patches, halo, periodic):
    x = field(*grid)
    patching = MultigridPatching(n_patches, halo=halo, periodic=periodic, positions=False)
    expected = []
    for sample in x.numpy():
        for patch in itertools.product(*map(range, n_patches)):
            window = sample
            for axis, (number, n, n_points) in enumerate(zip(patch, n_patches, grid, strict=True)):
                width = [halo] * len(grid) if isinstance(halo, int) else halo
                width = round(n_points * width[axis]) if isinstance(width[axis], float) else width[axis]
                width = 0 if n == 1 else width
                points = np.arange(number * n_points // n - width, (number + 1) * n_points // n + width)
                window = window.take(points, axis=axis + 1, mode="wrap" if periodic[axis] else "clip")
            expected.append(window)
    assert np.array_equal(patching.patch(x).numpy(), np.stack(expected))


@pytest.mark.parametrize(
    ("grid", "n_patches"), [((24,), (4,)), ((24, 15), (4, 5)), ((24, 15), (6, 1)), ((8, 12, 10), (2, 3, 5))]
)
@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("levels", [0, 1])
def test_stitched_patches_are_the_field(grid, n_patches, periodic, levels):
    x = field(*grid)
    patching = MultigridPatching(n_patches, halo=1, levels=levels, periodic=[periodic] * len(grid))
    own = slice(len(grid), len(grid) + x.shape[1])
    assert torch.equal(patching.stitch(patching.patch(x)[:, own], grid), x)


@pytest.mark.parametrize(("n_points", "n_patches", "halo"), [(64, 8, 3), (60, 12, 2), (63, 9, 0)])
@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_surroundings_are_coarser_and_centred_on_the_patch(n_points, n_patches, halo, level):
    axis, stride = PatchAxis(n_points, n_patches, halo, periodic=True), 2**level
    windows = axis.points(torch.arange(n_patches), level)
    assert windows.shape == (n_patches, n_points // n_patches + 2 * halo)
    assert (windows.diff() == stride).all()
    middles = (windows[:, 0] + windows[:, -1] + stride) / 2  # a point stands for a cell that begins there
    centres = (torch.arange(n_patches) + 0.5) * (n_points / n_patches)
    assert ((middles - centres).abs() <= 0.5).all()


def test_positions_are_those_in_the_whole_domain():
    patching = MultigridPatching([2, 2], halo=1, periodic=[True, False])
    windows = patching.patch(field(4, 8, n_samples=1))
    assert windows.shape == (4, 5, 4, 6)
    first, last = windows[0], windows[3]
    assert first[0, :, 0].tolist() == [0.75, 0.0, 0.25, 0.5]
    assert first[1, 0].tolist() == [-0.125, 0.0, 0.125, 0.25, 0.375, 0.5]
    assert last[0, :, 0].tolist() == [0.25, 0.5, 0.75, 0.0]
    assert last[1, 0].tolist() == [0.375, 0.5, 0.625, 0.75, 0.875, 1.0]


@pytest.mark.parametrize("grid", [(24,), (24, 16), (8, 12, 8)])
@pytest.mark.parametrize("levels", [0, 1])
def test_a_network_that_is_local_within_the_halo_gives_the_same_on_patches(grid, levels):
    x, network = field(*grid), convolutions(len(grid), kernel_sizes=(3, 3))

    def apply(halo):
        patching = MultigridPatching([2] * len(grid), halo=halo, levels=levels, positions=False, chunk=3)
        return patching(lambda windows: network(windows[:, :3]), x)

    torch.testing.assert_close(apply(halo=2), network(x), rtol=0, atol=1e-14)
    assert (apply(halo=1) - network(x)).abs().max() > 1e-4


def test_ends_that_are_not_periodic_continue_with_the_value_there():
    x, network = field(12, 15), convolutions(2, kernel_sizes=(5,), padding_mode="replicate")
    patching = MultigridPatching([3, 5], halo=2, periodic=[False, False], positions=False)
    torch.testing.assert_close(patching(network, x), network(x), rtol=0, atol=1e-14)
    wrapped = MultigridPatching([3, 5], halo=2, positions=False)
    assert (wrapped(network, x) - network(x)).abs().max() > 1e-2


@pytest.mark.parametrize("chunk", [1, 4, 100])
@pytest.mark.parametrize("recompute", [True, False])
def test_loss_and_gradients_are_those_of_the_whole_field(chunk, recompute):
    x, network = field(12, 8), convolutions(2)
    patching = MultigridPatching([3, 2], halo=1, chunk=chunk, positions=False)
    found = loss_and_gradients(lambda x: patching(network, x, recompute=recompute), network, x)
    torch.testing.assert_close(found, loss_and_gradients(network, network, x), rtol=1e-12, atol=1e-14)


def test_a_chunk_is_evaluated_twice_in_training_and_once_otherwise():
    x, network = field(12), convolutions(1)
    sizes = []
    network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    patching = MultigridPatching([4], halo=1, chunk=3, positions=False)
    patching(network, x).sum().backward()
    assert sizes == [3, 3, 2, 2, 3, 3]
    sizes.clear()
    patching(network, x, recompute=False).sum().backward()
    assert sizes == [3, 3, 2]
    sizes.clear()
    with torch.no_grad():
        patching(network, x)
    assert sizes == [3, 3, 2]


def test_memory_does_not_grow_with_the_field():
    network = nn.Sequential(nn.Conv1d(1, 64, 3, padding=1), nn.Tanh(), nn.Conv1d(64, 1, 3, padding=1)).double()

    def peak(n_patches, apply):
        x = field(256 * n_patches, n_samples=1, n_channels=1)
        return peak_bytes(lambda: apply(n_patches, x).sum().backward(), x.device)

    def patched(n_patches, x):
        return MultigridPatching([n_patches], halo=2, positions=False)(network, x)

    peak(1, patched)  # allocates the gradients
    small, large = peak(8, patched), peak(32, patched)
    whole = peak(32, lambda _, x: network(x))
    input_and_output = 2 * 24 * 256 * 8  # what the larger field has more of, in bytes
    assert large - small < 2 * input_and_output
    assert large < whole / 10


class Weight(nn.Module):
    """A weight times the field, whose gradient tells the patches that it comes from."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))

    def forward(self, x):
        return self.weight * x


def test_trained_patches_have_the_gradient_of_the_whole_in_the_mean():
    x, network = field(16, n_samples=1, n_channels=1), Weight()
    whole, (of_whole,) = network(x).square().mean(), torch.autograd.grad(network(x).square().mean(), network.weight)
    patching = MultigridPatching([4], chunk=3, trained_patches=1, positions=False)
    found = set()
    for seed in range(40):
        torch.manual_seed(seed)
        loss = patching(network, x).square().mean()
        assert loss == whole
        found.add(torch.autograd.grad(loss, network.weight)[0].item())
    assert len(found) == 4
    assert np.mean(list(found)) == pytest.approx(of_whole.item(), rel=1e-12)


def test_so_many_patches_of_each_sample_are_trained():
    x, network = field(16, n_samples=3), convolutions(1)
    with_gradient = []
    network.register_forward_hook(lambda *a: with_gradient.extend([a[2].requires_grad] * len(a[2])))
    patching = MultigridPatching([4], halo=1, trained_patches=3, positions=False)
    expected = network(x)
    with_gradient.clear()
    found = patching(network, x, recompute=False)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    assert (with_gradient.count(True), with_gradient.count(False)) == (9, 3)
    grown = torch.autograd.grad(found.sum(), network[0].weight, retain_graph=True)[0]
    assert torch.isfinite(grown).all()
    with_gradient.clear()
    patching(network.eval(), x)
    assert with_gradient == [True] * 12


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's, of its own access
@pytest.mark.usefixtures("compiler")
def test_a_compiled_network_gives_the_same():
    x = field(12, 16)
    network, compiled = (FNO((4, 4), 8, 2, 8, 2, positional_embedding=None).double() for _ in range(2))
    compiled.load_state_dict(network.state_dict())
    compiled.compile(backend="aot_eager", fullgraph=True)
    patching = MultigridPatching([3, 2], halo=1, chunk=4, levels=1)
    found = loss_and_gradients(lambda x: patching(compiled, x), compiled, x)
    expected = loss_and_gradients(lambda x: patching(network, x, recompute=False), network, x)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_patches": []}, r"patching.n_patches is empty, expected whole numbers of at least 1"),
        ({"n_patches": [4, 0]}, r"patching.n_patches is 4 x 0, expected whole numbers of at least 1"),
        ({"n_patches": [4, 2.0]}, r"patching.n_patches is 4 x 2.0, expected whole numbers"),
        ({"levels": -1}, r"patching.levels is -1, expected whole numbers of at least 0"),
        ({"chunk": 0}, r"patching.chunk is 0, expected whole numbers of at least 1"),
        ({"halo": -1}, r"patching.halo is -1, expected a number of points, at least 0, or a fraction"),
        ({"halo": 1.5}, r"patching.halo is 1.5, expected .* a fraction of the points of the axis, below 1"),
        ({"halo": [1]}, r"patching.halo has 1 entries and patching.n_patches 2: give one for each axis"),
        ({"periodic": [True]}, r"patching.periodic has 1 entries and patching.n_patches 2"),
        ({"levels": 2}, r"levels=2 has surroundings 4 times as long as a patch, .* of 2 patches: at most 1"),
        ({"trained_patches": 9}, r"patching.trained_patches is 9, expected 1 to 8, the patches of a sample"),
        ({"trained_patches": 0}, r"patching.trained_patches is 0, expected 1 to 8"),
    ],
)
def test_numbers_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MultigridPatching(**({"n_patches": [4, 2]} | options))


@pytest.mark.parametrize(
    ("options", "grid", "message"),
    [
        ({"n_patches": [3, 4]}, (16, 16), r"3 x 4 does not divide the grid 16 x 16: axis 0 has 16 points, .*\[1, 2, 4"),
        ({"n_patches": [4, 4]}, (16,), r"n_patches 4 x 4 has 2 entries, but the grid 16 has 1 axes"),
        ({"n_patches": [4], "halo": 7}, (16,), r"a window of 18 points along axis 0 .*than the 16 .*at most 6"),
        ({"n_patches": [4], "halo": 0.5}, (16,), r"a window of 20 points along axis 0 .* halos of 8\).* at most 6"),
    ],
)
def test_patches_that_do_not_fit_the_grid_are_refused(options, grid, message):
    with pytest.raises(ValueError, match=message):
        MultigridPatching(**options).patch(field(*grid))


def test_a_network_that_changes_the_grid_is_refused():
    with pytest.raises(ValueError, match=r"the network makes 3 points of a window of 6, expected as many"):
        MultigridPatching([4], halo=1)(nn.MaxPool1d(2), field(16))
