import pytest
import torch

from fno_lightning.modules.optimizers import default_optimizer


@pytest.mark.parametrize(
    ("dtype", "precision", "is_fused"),
    [
        (torch.float32, "32-true", True),
        (torch.float64, "64-true", True),
        (torch.float32, "bf16-mixed", False),
        (torch.float32, "16-mixed", False),
        (torch.complex64, "32-true", False),
    ],
)
def test_it_is_fused_where_that_works(dtype, precision, is_fused):
    parameter = torch.nn.Parameter(torch.ones(3, dtype=dtype))
    optimizer = default_optimizer([parameter], precision)
    parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert optimizer.defaults["fused"] is is_fused
    assert torch.all(parameter.real < 1)
