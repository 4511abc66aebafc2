import copy

import pytest
import torch
import torch.nn.functional as F
from torch._dynamo.testing import CompileCounterWithBackend

from fno_lightning.models import FNO, GeometryFNO
from fno_lightning.modules.checkpointing import checkpoint_activations

pytestmark = pytest.mark.usefixtures("compiler")


def gradients(network, x):
    network.zero_grad()
    F.mse_loss(network(x).float(), x[:, :2]).backward()
    return [parameter.grad.clone() for parameter in network.parameters()]


@pytest.mark.long
@pytest.mark.parametrize(
    "settings",
    [
        {"norm": "group_norm"},
        {"factorization": "tucker", "bases": ("fourier", "cosine")},
        {"factorization": "cp", "implementation": "reconstructed", "domain_padding": 0.25},
        {"factorization": "tt", "norm": "instance_norm"},
        {"local": "differential"},
        {"by_axis": True, "bases": ("fourier", "cosine"), "filter_order": 8},
        {"local": "convolution", "periodic": (True, False)},
        {"conditioning": "film", "n_conditions": 2},
        {"conditioning": "spectral", "n_conditions": 1, "bases": ("fourier", "cosine")},
        {"latitudes": "gauss_legendre"},
    ],
)
def test_one_graph_serves_every_batch_size(settings):
    torch.manual_seed(0)
    eager = FNO((6, 4), 3, 2, 8, 2, **settings)
    compiled = copy.deepcopy(eager)
    counter = CompileCounterWithBackend("eager")
    compiled.compile(backend=counter, fullgraph=True)
    for batch in (2, 3, 5):
        x = torch.randn(batch, 3, 12, 10)
        torch.testing.assert_close(gradients(compiled, x), gradients(eager, x), rtol=1e-4, atol=1e-6)
    assert counter.frame_count == 2, "one graph for the first batch size, one for all others"


@pytest.mark.long
@pytest.mark.parametrize("latitudes", [None, "equiangular"])
def test_one_graph_serves_every_resolution(latitudes):
    torch.manual_seed(0)
    eager = FNO((6, 4), 3, 2, 8, 1, latitudes=latitudes)
    compiled = copy.deepcopy(eager)
    counter = CompileCounterWithBackend("aot_eager")
    compiled.compile(backend=counter, fullgraph=True)
    for grid in ((12, 10), (16, 14), (25, 40)):
        x = torch.randn(2, 3, *grid)
        torch.testing.assert_close(gradients(compiled, x), gradients(eager, x), rtol=1e-4, atol=1e-6)
    assert counter.frame_count == 2, "one graph for the first resolution, one for all others"


@pytest.mark.parametrize("local", [None, "convolution"])
def test_inductor_gives_the_eager_gradients(local):
    torch.manual_seed(0)
    eager = FNO((4, 4), 3, 2, 8, 1, local=local, periodic=(True, False))
    compiled = copy.deepcopy(eager)
    compiled.compile(fullgraph=True)
    x = torch.randn(2, 3, 12, 10)
    torch.testing.assert_close(gradients(compiled, x), gradients(eager, x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("conditioning", ["planes", "film", "spectral"])
def test_exports(conditioning):
    network = FNO((6, 4), 3, 2, 8, 2, conditioning=conditioning, n_conditions=1)
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(network, (torch.randn(2, 3, 12, 10),), dynamic_shapes=({0: batch},))
    x = torch.randn(7, 3, 12, 10)
    torch.testing.assert_close(exported.module()(x), network(x))


def test_recomputed_blocks_compile_to_one_graph():
    torch.manual_seed(0)
    eager = FNO((6, 4), 3, 2, 8, 2)
    compiled = copy.deepcopy(eager)
    checkpoint_activations(compiled, "full")
    compiled.compile(backend="aot_eager", fullgraph=True)
    x = torch.randn(2, 3, 12, 10)
    torch.testing.assert_close(gradients(compiled, x), gradients(eager, x), rtol=1e-4, atol=1e-6)


def test_an_operator_on_points_is_one_graph_for_every_number_of_points():
    torch.manual_seed(0)
    eager = GeometryFNO((4, 4), 3, 2, latent_grid=(6, 6), hidden_channels=8, n_layers=1)
    compiled = copy.deepcopy(eager)
    counter = CompileCounterWithBackend("eager")
    compiled.compile(backend=counter, fullgraph=True)
    for n_points in (20, 33, 41):
        inputs = torch.randn(2, 3, n_points), torch.rand(2, n_points, 2), torch.ones(2, n_points)
        torch.testing.assert_close(compiled(*inputs), eager(*inputs))
    assert counter.frame_count <= 2  # one shape, then any
