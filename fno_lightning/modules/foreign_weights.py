"""Checkpoints of ours from the weights of other libraries."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fno_lightning.class_path import missing_module
from fno_lightning.data import FieldSpec, Statistics
from fno_lightning.files import PathText, expanded_path
from fno_lightning.models.fno import FNO
from fno_lightning.models.neuralop import Converted, converted_neuralop
from fno_lightning.models.the_well import converted_well_fno, is_well_fno
from fno_lightning.models.variants import TFNO
from fno_lightning.modules.base import ForecastModule
from fno_lightning.modules.fno import FNOModule, TFNOModule
from fno_lightning.modules.network import NetworkModule

_IN_FOLDERS = ("model.safetensors", "pytorch_model.bin", "*_state_dict.pt")
"""Files of weights in a folder of the Hugging Face hub, or of neuralop's ``save_checkpoint``."""

_WRAPPED = ("model_state_dict", "state_dict")
"""Entries that hold the weights in a checkpoint of The Well's trainer, or of others."""

_HARMLESS = [
    (nn.functional.gelu, "torch._C._nn.gelu"),
    (object, "neuralop.layers.spectral_convolution.SpectralConv"),  # only named, never built
]
"""What neuralop's files hold beside tensors and plain values, unless a network had unusual options."""


def read_foreign_weights(path: PathText) -> dict[str, Any]:
    """Read a state dict of another library, without running code that a file may hold.

    Args:
        path: A file (``.safetensors``, or of ``torch.save``), or a folder with one: of the Hugging Face hub
            (``model.safetensors``) or of neuralop's ``save_checkpoint`` (``<name>_state_dict.pt``).

    Returns:
        The state dict, with neuralop's entry ``_metadata`` if it has one.

    Raises:
        ValueError: if there is no such file, or it holds something else.
    """
    file = _file(expanded_path(path, "weights"))
    if file.suffix == ".safetensors":
        load: Any = _safetensors_reader(file)
        return dict(load(file))
    if not zipfile.is_zipfile(file):
        raise ValueError(f"weights: {file} is neither a safetensors file nor one of torch.save, or only a part of one")
    try:
        with torch.serialization.safe_globals(_HARMLESS):  # type: ignore[arg-type]
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        unusual = sorted(set(torch.serialization.get_unsafe_globals_in_checkpoint(file)) - {n for _, n in _HARMLESS})
        raise ValueError(
            f"weights: {file} holds more than tensors and plain values, {unusual}, which may run any code when it is "
            "loaded: if you trust it, save its tensors alone first"
        ) from error
    state = next((content[name] for name in _WRAPPED if name in content), content) if isinstance(content, dict) else {}
    if not any(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"weights: {file} holds no state dict of a network")
    return dict(state)


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    found = [file for pattern in _IN_FOLDERS for file in sorted(path.glob(pattern))]
    if len(found) != 1:
        names = [file.name for file in found]
        known = ", ".join(_IN_FOLDERS)
        raise ValueError(
            f"weights: in {path} are {names}, name one" if found else f"weights: {path} is no file, nor has it {known}"
        )
    return found[0]


def _safetensors_reader(file: Path) -> Any:
    try:
        from safetensors.torch import load_file
    except ModuleNotFoundError as error:
        raise ValueError(missing_module("safetensors", str(file))) from error
    return load_file


def network_in_folder(path: PathText, class_path: str) -> dict[str, Any]:
    """Return a network as NetworkModule takes it, with the arguments in a hub's ``config.json`` if there is one.

    Args:
        path: Weights, or the folder that they are in.
        class_path: Path of the network's class.
    """
    folder = expanded_path(path, "weights")
    config = (folder if folder.is_dir() else folder.parent) / "config.json"
    given = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    filled_in = {"dim_in", "dim_out", "n_spatial_dims", "spatial_resolution", "in_channels", "out_channels"}
    return {"class_path": class_path, "init_args": {k: v for k, v in given.items() if k not in filled_in}}


def module_of_weights(
    state: Mapping[str, Any],
    spec: FieldSpec,
    n_steps_input: int,
    statistics: Statistics,
    *,
    network: dict[str, Any] | None = None,
    bundle: int = 1,
    with_blocks: bool = True,
) -> ForecastModule:
    """Return a module that computes what weights of another library compute, in physical units.

    FNO and TFNO of neuralop 2 (with ``_metadata``) and of The Well become ours; other networks stay what they are, in a
    NetworkModule. Scalars of the data that the network was not trained with are not shown to it, or, where it has
    become ours, have weights of zero at first.

    Args:
        state: State dict.
        spec: Description of the data that the network was trained on.
        n_steps_input: Number of past frames that it was given.
        statistics: Statistics that its inputs and outputs were normalised by.
        network: ``class_path`` and ``init_args`` of the network; ``None``: the state dict says them.
        bundle: Number of frames that it predicts at once.
        with_blocks: See :func:`~fno_lightning.models.the_well.converted_well_fno`.

    Raises:
        ValueError: if the weights do not tell their network, or do not fit the data.
    """
    common: dict[str, Any] = {"n_steps_input": n_steps_input, "bundle": bundle}
    if network is not None:
        tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
        module: ForecastModule = _with_network(network, tensors, spec, common)
    elif is_well_fno(state):
        module = _with_ours(converted_well_fno(state, with_blocks=with_blocks), spec, common)
    elif "_metadata" in state:
        module = _with_ours(converted_neuralop(state), spec, common)
    else:
        raise ValueError(
            "the weights do not tell what network they are of: give its class, as in --network_class "
            "neuralop.models.FNO, and its arguments, as in --network_args '{n_modes: [16, 16], hidden_channels: 64}'"
        )
    module.fit_normalization(statistics)
    module.training_grids.add([spec.grid_shape])
    return module.eval()


def _with_network(
    network: dict[str, Any], state: Mapping[str, Tensor], spec: FieldSpec, common: Mapping[str, Any]
) -> NetworkModule:
    """Return a module of a named network, which is shown the scalars if it has weights for them."""
    differing = ""
    for show_scalars in (True, False) if spec.scalars else (True,):
        options = {"show_scalars": show_scalars, "log_scalars": not show_scalars}
        module = NetworkModule(network=network, spec=spec, **options, **common)
        own = module.named_network.state_dict()
        shapes = {name: tuple(value.shape) for name, value in own.items() if isinstance(value, Tensor)}
        given = {name: tuple(value.shape) for name, value in state.items()}
        if shapes == given:
            module.named_network.load_state_dict(dict(state))
            return module
        names = sorted(name for name in shapes.keys() | given.keys() if shapes.get(name) != given.get(name))
        differing = "; ".join(f"{n} {given.get(n, 'missing')} instead of {shapes.get(n, 'none')}" for n in names[:4])
    raise ValueError(
        f"the weights do not fit {network['class_path']} with {network.get('init_args', {})} for these data: "
        f"{differing}"
    )


def _with_ours(converted: Converted, spec: FieldSpec, common: Mapping[str, Any]) -> FNOModule:
    """Return a module of a network of ours, with weights of zero for scalars that it did not see."""
    arguments = dict(converted.arguments)
    n_in, n_out = arguments.pop("in_channels"), arguments.pop("out_channels")
    module_class = TFNOModule if issubclass(converted.network_class, TFNO) else FNOModule
    module = module_class(spec, **arguments, **common)
    n_new = module.in_channels - n_in
    if n_new == 0 and spec.scalars:  # which were shown to it as they were
        module = module_class(spec, **arguments, **common, log_scalars=False)
    if n_new not in (0, len(spec.scalars)) or module.out_channels != n_out:
        raise ValueError(
            f"the network takes {n_in} channels and gives {n_out}, but the data make {module.in_channels}, "
            f"{len(spec.scalars)} of them scalars, and {module.out_channels}: choose the data that it was trained on, "
            "n_steps_input and bundle"
        )
    state = dict(converted.state)
    first = "lifting.layers.0.weight"
    before, after = state[first][:, :n_in], state[first][:, n_in:]
    state[first] = torch.cat((before, before.new_zeros(len(before), n_new), after), dim=1)
    assert isinstance(module.network, FNO)
    module.network.load_state_dict(state)
    return module
