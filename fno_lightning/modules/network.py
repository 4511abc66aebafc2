"""LightningModule of a network that is named by its class path."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from fno_lightning.arguments import plain, require_mapping
from fno_lightning.class_path import missing_module
from fno_lightning.modules.base import ForecastModule


class NetworkModule(ForecastModule):
    """LightningModule of any network ``(batch, in_channels, *grid) -> (batch, out_channels, *grid)``.

    What the data decide is passed to the network unless ``init_args`` holds it already or its constructor has no such
    arguments: ``in_channels`` and ``out_channels`` (The Well's ``dim_in`` and ``dim_out``), ``n_spatial_dims`` or
    ``n_dims``, and the shape of its grid as ``spatial_resolution``. For example, another library's network:

    .. code-block:: yaml

        class_path: fno_lightning.modules.NetworkModule
        init_args:
          network:
            class_path: neuralop.models.FNO
            init_args: {n_modes: [16, 16], hidden_channels: 64}

    Args:
        network: ``class_path`` and ``init_args`` of the network, plain values only.
        **kwargs: See :class:`~fno_lightning.modules.ForecastModule`.

    Raises:
        ValueError: if ``network`` names no class that can be imported, or not an ``nn.Module``.
    """

    def __init__(self, network: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_mapping(network=network)
        unknown = set(network) - {"class_path", "init_args"}
        if unknown or "class_path" not in network:
            raise ValueError(f"network needs class_path and may have init_args, got the entries {sorted(network)}")
        self.network_class = _import_network(network["class_path"])
        self.network_arguments: Mapping[str, Any] = plain(network.get("init_args") or {}, "network.init_args")
        self.register_state_dict_post_hook(_keep_tensors_only)  # type: ignore[no-untyped-call]

    def build_network(self) -> nn.Module:
        """Return the named network, with its channels, dimensions and grid filled in from the data."""
        channels = {"in_channels": self.in_channels, "out_channels": self.out_channels}
        others: dict[str, Any] = {
            "dim_in": self.in_channels,
            "dim_out": self.out_channels,
            "n_spatial_dims": self.spec.n_dims,
            "n_dims": self.spec.n_dims,
            "spatial_resolution": list(self.network_grid),
        }
        parameters = inspect.signature(self.network_class).parameters
        takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
        accepted: dict[str, Any] = {name: n for name, n in channels.items() if takes_any or name in parameters}
        accepted |= {name: value for name, value in others.items() if name in parameters}
        return self.network_class(**{**accepted, **self.network_arguments})


def _import_network(class_path: str) -> type[nn.Module]:
    module_path, _, name = class_path.rpartition(".")
    try:
        network_class = getattr(importlib.import_module(module_path), name)
    except ModuleNotFoundError as error:
        raise ValueError(f"network.class_path: {missing_module(error.name or str(error), class_path)}") from error
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"network.class_path {class_path!r} cannot be imported: {error}") from error
    if not (isinstance(network_class, type) and issubclass(network_class, nn.Module)):
        raise ValueError(f"network.class_path {class_path!r} is not a torch.nn.Module class")
    return network_class


def _keep_tensors_only(module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    # neuralop adds its constructor's arguments, classes among them, under "_metadata": such a state dict neither
    # loads strictly nor with weights_only=True (https://github.com/neuraloperator/neuraloperator/issues/700).
    for key in [key for key in state if key.startswith(prefix) and key.rpartition(".")[2] == "_metadata"]:
        del state[key]
