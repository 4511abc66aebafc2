from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fno_lightning.models import FNO, TFNO
from fno_lightning.models.the_well import converted_well_fno

FOLDER = Path(__file__).parent / "the_well"


def saved(name):
    """The weights of a network of neuralop 0.3.0, and what it makes of an example (``the_well/make.py``)."""
    tensors = load_file(FOLDER / f"{name}.safetensors")
    example = {key: tensors.pop(key) for key in list(tensors) if key.startswith("example.")}
    return tensors, [example[f"example.{key}"] for key in ("x", "y", "y_without_blocks")]


@pytest.mark.parametrize(("name", "network_class"), [("fno", FNO), ("tfno", TFNO)])
def test_networks_are_those_of_neuralop_0_3(name, network_class):
    weights, (x, y, y_without_blocks) = saved(name)
    network = converted_well_fno(weights).build()
    assert type(network) is network_class
    torch.testing.assert_close(network(x), y)
    without_blocks = converted_well_fno(weights, with_blocks=False).build()
    torch.testing.assert_close(without_blocks(x), y_without_blocks)


def test_other_weights_are_refused():
    with pytest.raises(ValueError, match=r"not that of The Well's FNO or TFNO: it has no fno_blocks.convs.weight"):
        converted_well_fno({"weight": torch.zeros(1)})
