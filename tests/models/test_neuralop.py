import re

import pytest
import torch
from neuralop import models as neuralop

from fno_lightning.models import FNO, TFNO, convert_neuralop_state_dict, from_neuralop
from tests.models.neuralop_cases import FNO_CASES, TFNO_CASES, relative_difference


@pytest.mark.parametrize("case", FNO_CASES)
def test_fno_is_neuralops(case):
    assert relative_difference(neuralop.FNO, *FNO_CASES[case]) < 1e-6


@pytest.mark.parametrize("case", TFNO_CASES)
def test_tfno_is_neuralops(case):
    assert relative_difference(neuralop.TFNO, *TFNO_CASES[case]) < 1e-6


def test_classes_and_positional_arguments():
    assert type(from_neuralop(neuralop.FNO((4, 4), 3, 2, 8, 1))) is FNO
    tfno = from_neuralop(neuralop.TFNO((4, 4), 3, hidden_channels=8, out_channels=2))
    assert type(tfno) is TFNO
    assert len(tfno.blocks) == 4


def test_state_dict_alone():
    reference = neuralop.FNO((4, 4), 3, 2, 8, 2)
    state_dict = reference.state_dict()
    x = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(from_neuralop(state_dict)(x), reference(x))
    del state_dict["_metadata"]
    with pytest.raises(ValueError, match="no entry '_metadata'"):
        from_neuralop(state_dict)
    network = FNO((4, 4), 3, 2, 8, 2)
    network.load_state_dict(convert_neuralop_state_dict(state_dict, (4, 4)))
    torch.testing.assert_close(network(x), reference(x))


@pytest.mark.parametrize(
    "option",
    [
        {"stabilizer": "tanh"},
        {"norm": "batch_norm"},
        {"complex_data": True},
        {"preactivation": True},
        {"separable": True},
        {"non_linearity": torch.nn.functional.silu},
        {"resolution_scaling_factor": 2},
    ],
)
def test_refuses_what_it_cannot_equal(option):
    reference = neuralop.FNO((4, 4), 3, 2, 8, 1, **option)
    with pytest.raises(ValueError, match=re.escape(next(iter(option)))):
        from_neuralop(reference)
