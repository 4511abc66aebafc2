"""What a training does for losses whose weights follow it."""

from __future__ import annotations

from typing import Any

import torch._functorch.config
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from fno_lightning.losses import BalancedSum, InverseGradientNorm
from fno_lightning.modules.lazy_network import SHARDED


class BalancedTraining:
    """Lets the weights of balanced losses follow the optimizer steps of a training."""

    def __init__(self) -> None:
        self.sums: list[BalancedSum] = []
        self._step: int | None = None

    def start(self, loss: nn.Module, network: nn.Module, trainer: Trainer) -> None:
        """Prepare a training.

        Args:
            loss: Its loss, which may be or hold a :class:`~fno_lightning.losses.BalancedSum`.
            network: Its network.
            trainer: Its trainer.

        Raises:
            ValueError: if a loss needs gradients that the trainer's precision or strategy does not have.
        """
        self.sums = [part for part in loss.modules() if isinstance(part, BalancedSum)]
        self._step = None
        for part in self.sums:
            part.advances = True
            if isinstance(part, InverseGradientNorm):
                _require_gradients(trainer)
                torch._functorch.config.donated_buffer = False  # torch asks for it where graphs are retained
                part.watch(network)

    def hold_within_step(self, step: int) -> None:
        """Let the weights be updated by the first batch of an optimizer step alone.

        Args:
            step: Number of optimizer steps that are over.
        """
        for part in self.sums:
            part.advances = step != self._step
        self._step = step


def _require_gradients(trainer: Trainer) -> None:
    if str(trainer.precision) == "16-mixed":
        raise ValueError(
            "InverseGradientNorm takes gradients without the loss scale of precision=16-mixed, so that they vanish in "
            "float16: use bf16-mixed or 32-true"
        )
    if isinstance(trainer.strategy, SHARDED):
        raise ValueError(
            f"InverseGradientNorm needs whole weights on each device, which {type(trainer.strategy).__name__} divides: "
            "use ddp, or SoftAdapt or ReLoBRaLo"
        )


def with_state_of_loss(loss: nn.Module, state: dict[str, Any], prefix: str) -> None:
    """Give a state that is loaded the entries of the loss of this run, if its own are those of another loss.

    Args:
        loss: The loss, a choice of a run.
        state: State of a module; changed in place.
        prefix: Beginning of the names of the loss.
    """
    own: dict[str, Tensor] = {f"{prefix}{name}": value for name, value in loss.state_dict().items()}
    saved = {name: value for name, value in state.items() if name.startswith(prefix)}
    if {name: value.shape for name, value in own.items()} == {name: value.shape for name, value in saved.items()}:
        return
    for name in saved:
        del state[name]
    state |= own
    if own:
        rank_zero_info("the weights of the losses start anew: what is loaded was trained with another loss")
