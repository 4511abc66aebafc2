"""LightningModule of a network that is named by its class path."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import nn

from fno_lightning.arguments import plain, require_mapping
from fno_lightning.class_path import import_class
from fno_lightning.modules.base import ForecastModule
from fno_lightning.modules.foreign_networks import (
    ChannelsLast,
    FirstChannels,
    known_fault,
    library_arguments,
    require_signature,
    takes_channels_last,
)
from fno_lightning.modules.lazy_network import SHARDED
from fno_lightning.modules.outside_state import require_registered_layers, state_outside


class NetworkModule(ForecastModule):
    """LightningModule of any network ``(batch, in_channels, *grid) -> (batch, out_channels, *grid)``.

    What the data decide is passed to the network unless ``init_args`` holds it already or its constructor has no such
    arguments: ``in_channels`` and ``out_channels`` (The Well's ``dim_in`` and ``dim_out``), ``n_spatial_dims`` or
    ``n_dims``, the number of scalars as ``n_conditions``, the shape of its grid as ``spatial_resolution``, and what
    networks of neuralop and PhysicsNeMo call these. For example, another library's network:

    .. code-block:: yaml

        class_path: fno_lightning.modules.NetworkModule
        init_args:
          network:
            class_path: neuralop.models.FNO
            init_args: {n_modes: [16, 16], hidden_channels: 64}

    Args:
        network: ``class_path`` and ``init_args`` of the network, plain values only.
        channels_last: Whether input and output of the network are ``(batch, *grid, channel)``; The Well's AFNO, AViT
            and ReFNO are known to be such.
        show_scalars: Whether the scalars of the data are among the channels of the network; those of The Well's
            benchmark were trained without.
        **kwargs: See :class:`~fno_lightning.modules.ForecastModule`.

    Raises:
        ValueError: if ``network`` names no class that can be imported, or not an ``nn.Module``; if a layer of it lies
            in a list; when training starts, if it computes with tensors that neither its arguments nor its state dict
            hold, so that a checkpoint would be another network; when a Trainer starts, if its precision does not hold
            complex weights; when the network is applied, if its output has another shape.
    """

    def __init__(
        self, network: dict[str, Any], *, channels_last: bool = False, show_scalars: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        require_mapping(network=network)
        unknown = set(network) - {"class_path", "init_args"}
        if unknown or "class_path" not in network:
            raise ValueError(f"network needs class_path and may have init_args, got the entries {sorted(network)}")
        self.network_path: str = network["class_path"]
        self.network_class: type[nn.Module] = import_class(self.network_path, nn.Module, "network.class_path")
        require_signature(self.network_class, self.network_path)
        self.network_arguments: Mapping[str, Any] = plain(network.get("init_args") or {}, "network.init_args")
        self.channels_last = channels_last or takes_channels_last(self.network_class)
        self.show_scalars = show_scalars
        if not show_scalars and self.patching is not None:
            raise ValueError("show_scalars: false does not go with patching: leave one of them out")
        self._is_found_complete = False
        self.register_state_dict_post_hook(_keep_tensors_only)  # type: ignore[no-untyped-call]

    def build_network(self) -> nn.Module:
        """Return the named network, with its channels, dimensions and grid filled in from the data."""
        in_channels = self.in_channels - (0 if self.show_scalars else len(self.spec.scalars))
        channels = {"in_channels": in_channels, "out_channels": self.out_channels}
        others: dict[str, Any] = {
            "dim_in": in_channels,
            "dim_out": self.out_channels,
            "n_spatial_dims": self.spec.n_dims,
            "n_dims": self.spec.n_dims,
            "n_conditions": len(self.spec.scalars),
            "spatial_resolution": list(self.network_grid),
            **library_arguments(self.network_class, self.network_grid),
        }
        parameters = inspect.signature(self.network_class).parameters
        takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
        accepted: dict[str, Any] = {name: n for name, n in channels.items() if takes_any or name in parameters}
        accepted |= {name: value for name, value in others.items() if name in parameters}
        arguments = {**accepted, **self.network_arguments}
        try:
            network = self.network_class(**arguments)
        except TypeError as error:
            raise ValueError(
                f"network {self.network_path} cannot be made of {sorted(arguments)}: {error}"
                f"{known_fault(self.network_class)}"
            ) from error
        require_registered_layers(network, self.network_path)
        if self.channels_last:
            network = ChannelsLast(network)
        return network if self.show_scalars else FirstChannels(network, in_channels)

    @property
    def named_network(self) -> nn.Module:
        """The network of the named class, without what is around it."""
        network = self.network
        while isinstance(network, ChannelsLast | FirstChannels):
            network = network.network
        return network

    def setup(self, stage: str) -> None:
        """Refuse, besides, a precision that would keep the real parts of complex weights only."""
        super().setup(stage)
        precision = str(self.trainer.precision)
        if precision in ("16-true", "bf16-true", "64-true") and not isinstance(self.trainer.strategy, SHARDED):
            weights = self.network.named_parameters()
            if name := next((name for name, weight in weights if weight.is_complex()), None):
                raise ValueError(
                    f"precision={precision} makes real numbers of the complex weights of {self.network_path}, such as "
                    f"{name}: use 32-true or bf16-mixed"
                )

    def on_fit_start(self) -> None:
        """Check, before a training, that its checkpoints will hold all of the network."""
        super().on_fit_start()
        if outside := self._state_outside():
            raise ValueError(
                f"network {self.network_path} computes with {outside}, which neither its arguments nor its state dict "
                "hold, so that a checkpoint would be another network: register them as buffers or parameters"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Warn, at the first checkpoint, of what has changed and is not in it."""
        super().on_save_checkpoint(checkpoint)
        if not self._is_found_complete and (outside := self._state_outside()):
            rank_zero_warn(
                f"network {self.network_path} has changed {outside}, which are not in its state dict: what is loaded "
                "from this checkpoint is another network, so register them as buffers or parameters"
            )
        self._is_found_complete = True

    def _state_outside(self) -> list[str]:
        if self._trainer is not None and isinstance(self._trainer.strategy, SHARDED):
            return []
        x = torch.randn(2, self.in_channels, *self.network_grid, generator=torch.Generator().manual_seed(0))
        return state_outside(self.network, self.build_network, x.to(self.device, self._precision))


def _keep_tensors_only(module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    # neuralop adds its constructor's arguments, classes among them, under "_metadata": such a state dict neither
    # loads strictly nor with weights_only=True (https://github.com/neuraloperator/neuraloperator/issues/700).
    for key in [key for key in state if key.startswith(prefix) and key.rpartition(".")[2] == "_metadata"]:
        del state[key]
