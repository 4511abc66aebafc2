import pytest
import torch
from neuralop.losses import LpLoss

from fno_lightning.losses import MSE, RelativeL2


@pytest.fixture(params=[(17,), (8, 6), (4, 5, 6)], ids=["1-D", "2-D", "3-D"])
def fields(request):
    generator = torch.Generator().manual_seed(0)
    shape = (3, 2, 4, *request.param)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2)]


def test_mse_is_that_of_torch(fields):
    torch.testing.assert_close(MSE()(*fields), torch.nn.functional.mse_loss(*fields))


def test_relative_l2_is_that_of_neuralop(fields):
    prediction, target = fields
    n_norms = prediction.shape[:3].numel()
    summed = LpLoss(d=prediction.ndim - 3, p=2)(prediction, target)
    torch.testing.assert_close(RelativeL2()(prediction, target), summed / n_norms)


def test_relative_l2_of_a_scaled_target_is_the_scale(fields):
    _, target = fields
    scale = torch.tensor([1e-2, 1.0, 1e4]).view(3, *(1,) * (target.ndim - 1))
    torch.testing.assert_close(
        RelativeL2()(1.25 * scale * target, scale * target), torch.tensor(0.25).double(), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("loss", [MSE(), RelativeL2()])
def test_a_perfect_prediction_has_no_loss_and_a_finite_gradient(fields, loss):
    _, target = fields
    prediction = target.clone().requires_grad_()
    value = loss(prediction, target)
    value.backward()
    assert value == 0
    assert torch.equal(prediction.grad, torch.zeros_like(target))


def test_gradients_are_those_of_finite_differences(fields):
    prediction, target = (f[:1, :, :, ..., :4] for f in fields)
    prediction = prediction.requires_grad_()
    for loss in (MSE(), RelativeL2()):
        assert torch.autograd.gradcheck(lambda p, loss=loss: loss(p, target), prediction)


def test_relative_l2_does_not_overflow_in_half_precision():
    target = torch.full((1, 1, 1, 256, 256), 8.0, dtype=torch.float16)
    assert RelativeL2()(1.5 * target, target).item() == pytest.approx(0.5, abs=1e-4)


def test_a_mixed_precision_prediction_keeps_its_gradient():
    target = torch.randn(2, 1, 1, 8)
    prediction = torch.randn(2, 1, 1, 8, dtype=torch.bfloat16, requires_grad=True)
    for loss in (MSE(), RelativeL2()):
        loss(prediction, target).backward()
        assert prediction.grad.dtype == torch.bfloat16
