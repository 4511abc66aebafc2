"""Makes the weights and outputs of The Well's networks in this folder, with neuraloperator 0.3.0 in its environment.

    pip install neuraloperator==0.3.0 tensorly-torch safetensors; python make.py

The Well pins that version; what its class adds (no arguments of neuralop's, names that start with ``model.``) is here.
"""

from pathlib import Path

import torch
from neuralop.models import FNO, TFNO
from safetensors.torch import save_file

if __name__ == "__main__":
    for name, network_class in (("fno", FNO), ("tfno", TFNO)):
        torch.manual_seed(0)
        network = network_class(n_modes=(4, 6), in_channels=4, out_channels=2, hidden_channels=3, n_layers=2)
        x = torch.randn(1, 4, 8, 10)
        with torch.no_grad():
            tensors = {"x": x, "y": network(x), "y_without_blocks": network.projection(network.lifting(x))}
        weights = {f"model.{key}": value.contiguous() for key, value in network.state_dict().items()}
        save_file(weights | {f"example.{key}": value for key, value in tensors.items()}, Path(f"{name}.safetensors"))
