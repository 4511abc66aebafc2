import pytest
import torch

from fno_lightning.layers import ChannelLinear
from fno_lightning.layers.kernels.linear import _Linear, _weight_gradient

MANY_POINTS = (2, 96, 64)  # 12,288 points of 24 channels to 12: enough for oneDNN

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")


def layers(bias=True):
    torch.manual_seed(0)
    ours = ChannelLinear(24, 12, bias=bias)
    reference = torch.nn.Linear(24, 12, bias=bias).double()
    reference.load_state_dict(ours.state_dict())
    return ours, reference


@pytest.mark.parametrize("bias", [True, False])
def test_many_points_go_to_onednn_with_the_values_and_gradients_of_float64(bias):
    ours, reference = layers(bias)
    x = torch.randn(*MANY_POINTS, 24, requires_grad=True)
    exact = x.detach().double().requires_grad_()
    y, expected = ours(x), reference(exact)
    assert "_LinearBackward" in type(y.grad_fn).__name__
    direction = torch.randn_like(y)
    found = torch.autograd.grad(y, [x, *ours.parameters()], direction)
    wanted = torch.autograd.grad(expected, [exact, *reference.parameters()], direction.double())
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-5)
    for ours_gradient, exact_gradient in zip(found, wanted, strict=True):
        error = (ours_gradient - exact_gradient).norm() / exact_gradient.norm()
        assert error < 1e-6


@pytest.mark.parametrize(("channels", "out"), [(24, 32), (32, 24), (3, 24)])
def test_the_weight_gradient_of_a_compiled_graph_is_the_same(channels, out, monkeypatch):
    torch.manual_seed(0)
    gradient, x = torch.randn(9000, out), torch.randn(9000, channels)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    found = _weight_gradient(gradient, x)
    expected = gradient.double().t() @ x.double()
    assert (found - expected).norm() / expected.norm() < 5e-6  # sums of 9,000 terms in float32


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")
def test_few_points_other_precisions_and_a_switched_off_onednn_stay_with_pytorch():
    layer, _ = layers()
    many = torch.randn(*MANY_POINTS, 24)
    with torch.autocast("cpu", torch.bfloat16):
        low_precision = layer(many)
    with torch.backends.mkldnn.flags(enabled=False):
        switched_off = layer(many)
    for y in (layer(torch.randn(5, 24)), low_precision, switched_off, layer.double()(many.double())):
        assert "_LinearBackward" not in type(y.grad_fn).__name__


@pytest.mark.filterwarnings("ignore:Input #. requires gradient and is not a double precision")
def test_derivatives_of_derivatives_agree_with_finite_differences():
    torch.manual_seed(0)
    tensors = tuple(torch.randn(*shape, requires_grad=True) for shape in ((5, 4), (3, 4), (3,)))
    single = {"eps": 1e-2, "atol": 1e-2, "rtol": 1e-2}  # oneDNN has no float64; the product is bilinear
    assert torch.autograd.gradcheck(_Linear.apply, tensors, **single)
    assert torch.autograd.gradgradcheck(_Linear.apply, tensors, **single)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch's own forward-mode derivatives
def test_function_transforms_go_to_pytorch():
    layer, _ = layers()
    points = torch.randn(4, *MANY_POINTS, 24)
    torch.testing.assert_close(torch.vmap(layer)(points), layer(points), rtol=1e-5, atol=1e-5)
    _, slope = torch.func.jvp(layer, (points[0],), (torch.ones_like(points[0]),))
    expected = layer.weight.sum(1).expand(*MANY_POINTS, 12)
    torch.testing.assert_close(slope, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_without_gradients_the_activation_is_part_of_the_product(bias):
    layer, reference = layers(bias)
    x = torch.randn(*MANY_POINTS, 24)
    expected = torch.nn.functional.gelu(reference(x.double()))
    torch.testing.assert_close(layer.activated(x).double(), expected, rtol=1e-5, atol=1e-5)
    with torch.no_grad(), torch.profiler.profile() as profiler:
        fused = layer.activated(x)
    torch.testing.assert_close(fused.double(), expected, rtol=1e-5, atol=1e-5)
    assert "aten::gelu" not in {event.name for event in profiler.events()}
