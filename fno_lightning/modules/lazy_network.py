"""A network that is built when something first asks for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import lightning as L
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from torch import nn
from torch.distributed.tensor import DTensor

_NETWORK = "network"
SHARDED = (FSDPStrategy, ModelParallelStrategy, DeepSpeedStrategy)
"""Strategies that divide a network among devices while it is built, in ``configure_model``."""


class LazyNetworkModule(L.LightningModule, ABC):
    """LightningModule whose network is built when something first asks for it.

    A subclass stores its arguments after the constructor of its base class has run, which therefore cannot build the
    network yet. Whatever asks for parameters, submodules or state builds it: an optimizer made by hand, a state dict to
    be saved or loaded, a copy, a callback in its ``setup``. So no weights are ever loaded into nothing.

    A Trainer whose strategy shards the network lists the submodules before the strategy is ready; there the network
    waits for ``configure_model``.
    """

    @abstractmethod
    def build_network(self) -> nn.Module:
        """Return a network ``(batch, in_channels, *grid) -> (batch, out_channels, *grid)``."""

    def make_network(self) -> nn.Module:
        """Return what :attr:`network` is: a new network, or several of them as one."""
        return self.build_network()

    def prepare_network(self, network: nn.Module) -> None:
        """Change a network that has just been built, in place."""

    @property
    def network(self) -> nn.Module:
        """The network, built at first use.

        Raises:
            RuntimeError: if :meth:`build_network` asks for an attribute that does not exist (yet).
        """
        if _NETWORK not in self._modules:
            try:
                network = self.make_network()
            except AttributeError as error:  # which Python would take for a missing attribute `network`
                raise RuntimeError(
                    f"{type(self).__name__}.build_network failed: {error}. A constructor stores what build_network "
                    "needs before it asks for parameters or submodules"
                ) from error
            self.prepare_network(network)
            nn.Module.__setattr__(self, _NETWORK, network)
        built = self._modules[_NETWORK]
        assert built is not None
        return built

    @property
    def is_built(self) -> bool:
        """Whether the network exists already."""
        return _NETWORK in self._modules

    def configure_model(self) -> None:
        """Build the network, once; a Trainer calls it where its strategy can shard the weights."""
        _ = self.network

    @property
    def trainer(self) -> L.Trainer:
        """The Trainer that the module is attached to; its strategy decides when the network is built."""
        return super().trainer

    @trainer.setter
    def trainer(self, trainer: L.Trainer | None) -> None:
        self._trainer = trainer  # before the base class asks for the children
        L.LightningModule.trainer.fset(self, trainer)  # type: ignore[attr-defined]

    def named_children(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the submodules, the network among them."""
        self._build_unless_sharded()
        return super().named_children()

    def named_modules(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Module]]:
        """Yield the submodules and their submodules, those of the network among them."""
        self._build_unless_sharded()
        modules: Iterator[tuple[str, nn.Module]] = super().named_modules(*args, **kwargs)
        return modules

    def _build_unless_sharded(self) -> None:
        if self._trainer is None or not isinstance(self._trainer.strategy, SHARDED):
            _ = self.network

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        _ = self.network
        super()._save_to_state_dict(*args, **kwargs)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        _ = self.network
        super()._load_from_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        _ = self.network  # two copies of a module without a network would build different ones
        state: dict[str, Any] = super().__getstate__()
        return state

    def __repr__(self) -> str:
        _ = self.network
        return super().__repr__()


def require_shared_gradients(module: L.LightningModule) -> None:
    """Require that the processes of a ``ModelParallelStrategy``, which wraps no network itself, train the same weights.

    Raises:
        ValueError: if weights are not divided among all processes: each would train its own on its share of the data.
    """
    strategy: object = module.trainer.strategy
    n_processes = module.trainer.world_size
    if not isinstance(strategy, ModelParallelStrategy) or n_processes == 1:
        return
    trained = (weight for weight in module.parameters() if weight.requires_grad)
    if all(isinstance(weight, DTensor) and weight.device_mesh.size() == n_processes for weight in trained):
        return
    sizes = {name: strategy.device_mesh[name].size() for name in ("data_parallel", "tensor_parallel")}
    raise ValueError(
        f"ModelParallelStrategy has {n_processes} processes ({sizes['data_parallel']} data_parallel x "
        f"{sizes['tensor_parallel']} tensor_parallel), and the weights of {type(module).__name__} are not divided "
        "among them all: each process would train weights of its own. Use strategy ddp, or set "
        f"data_parallel_size={n_processes}, tensor_parallel_size=1 and call fully_shard(self.network, "
        "mesh=self.device_mesh['data_parallel']) in the configure_model of a subclass, after super()'s"
    )
