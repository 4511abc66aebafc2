"""Initial weights of a training, from another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from fno_lightning.checkpoints import DamagedCheckpointError, read_checkpoint
from fno_lightning.files import PathText, expanded_path

NETWORK = "network."
NORMALIZER = "normalizer."


def read_weights(path: PathText) -> tuple[dict[str, Tensor], dict[str, Any], dict[str, list[int]]]:
    """Read weights from a checkpoint, or from a file with the state dict of a network.

    Returns:
        The state of a :class:`~fno_lightning.modules.ForecastModule`, or a part of it, and the hyper-parameters that
        were saved with it, none for a plain state dict; the modes of layers that did not use all.

    Raises:
        ValueError: if there is no such file, or it holds something else, or a variable in its path is not set.
    """
    path = expanded_path(path, "initial_weights")
    if not path.is_file():
        raise ValueError(f"initial_weights: there is no file {path}")
    try:
        content = read_checkpoint(path)
    except DamagedCheckpointError as error:
        raise ValueError(
            f"initial_weights: {error}. neuralop's own files are such: fno-lightning convert --weights {path} reads "
            "them"
        ) from error
    state = content.get("state_dict", content)
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"initial_weights: {path} is neither a checkpoint nor the state dict of a network")
    if "current_model_state" in content:  # of Lightning's WeightAveraging
        rank_zero_info(
            f"initial_weights: {path} holds averaged weights beside the last ones; the averaged ones are taken"
        )
    if not any(name.startswith(NETWORK) for name in state):
        state = {NETWORK + name: value for name, value in state.items()}
    return state, content.get("hyper_parameters", {}), content.get("kept_modes", {})


def require_same_options(
    saved: Mapping[str, Any], own: Mapping[str, Any], *, refit_normalization: bool = False
) -> None:
    """Check the options that change the result of equal weights but not their shapes.

    Raises:
        ValueError: if one differs; names it with both values.
    """
    for option in (
        "bundle",
        "residual",
        "normalization",
        "log_scalars",
        "reversible_norm",
        "bases",
        "domain_padding",
        "positional_embedding",
    ):
        if option not in saved or option not in own or (option == "normalization" and refit_normalization):
            continue
        if saved[option] != own[option]:
            raise ValueError(
                f"initial_weights were trained with {option}={saved[option]!r}, but the module has "
                f"{option}={own[option]!r}: give it the same"
            )


def load_weights(module: nn.Module, state: Mapping[str, Tensor], *, with_normalization: bool) -> None:
    """Load the weights of the network and, if wanted and present, the normalisation.

    Raises:
        ValueError: if the network has other weights; names them with their shapes.
    """
    parts = (NETWORK, NORMALIZER) if with_normalization else (NETWORK,)
    given = {name: value for name, value in state.items() if name.startswith(parts)}
    own = {name: value for name, value in module.state_dict().items() if name.startswith(parts)}
    up_to_0_2 = (".varies", ".is_log")  # had neither: the normaliser fills them in
    own = {name: value for name, value in own.items() if name in given or not name.endswith(up_to_0_2)}
    if not any(name.startswith(NORMALIZER) for name in given):
        own = {name: value for name, value in own.items() if name.startswith(NETWORK)}
    differing = [
        f"{name} {_shape(given.get(name))} instead of {_shape(own.get(name))}"
        for name in sorted(own.keys() | given.keys())
        if _shape(given.get(name)) != _shape(own.get(name))
    ]
    if differing:
        shown = "; ".join(differing[:4]) + ("; ..." if len(differing) > 4 else "")
        raise ValueError(
            f"initial_weights do not fit the network, {len(differing)} of {len(own)} entries differ: {shown}. Give the "
            "module the options that the weights were trained with, and data with the same channels"
        )
    module.load_state_dict(given, strict=False)


def freeze_parts(network: nn.Module, parts: Sequence[str]) -> None:
    """Exclude parts of a network from training.

    Args:
        network: The network.
        parts: Names of submodules or parameters, e.g. ``lifting`` or ``blocks.0``.

    Raises:
        ValueError: if a name is none of the network's, or nothing is left to train.
    """
    for part in parts:
        chosen = [p for name, p in network.named_parameters() if f"{name}.".startswith(f"{part}.")]
        if not chosen:
            known = [name for name, _ in network.named_children()]
            raise ValueError(f"freeze: the network has no part {part!r} with weights, it has {known}")
        for parameter in chosen:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ValueError(f"freeze={list(parts)} leaves no weights to train")


def _shape(value: Tensor | None) -> str:
    return "missing" if value is None else str(tuple(value.shape))
