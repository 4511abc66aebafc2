"""More modes where a loss no longer falls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from fno_lightning.arguments import plain
from fno_lightning.callbacks.incremental_modes import IncrementalModes, NewModes


class IncrementalModesByLoss(IncrementalModes):
    """Add modes of every axis where a loss improves by less than a part of itself from one validation to the next.

    Args:
        start: Modes of each axis at the beginning, see :class:`IncrementalModes`.
        step: Modes that each axis gains at a time.
        epsilon: Least improvement, as a part of the loss before, that keeps the modes as they are. A loss that gets
            worse adds modes too; one that is not finite does not.
        monitor: Name of a loss that validation logs; ``None``: the mean over the epoch of the training loss, of the
            first process, compared from epoch to epoch.
        new_modes: Weights of added modes, ``zero`` or ``initial``, see :class:`IncrementalModes`.

    Raises:
        ValueError: as :class:`IncrementalModes`; when training starts or goes on, if there is no such loss.

    Reference: George et al. 2024, TMLR, arXiv:2211.15188, there with an absolute difference.
    """

    def __init__(
        self,
        start: int | Sequence[int],
        step: int = 2,
        *,
        epsilon: float = 0.02,
        monitor: str | None = "val/loss",
        new_modes: NewModes = "zero",
    ) -> None:
        super().__init__(start, step, new_modes=new_modes)
        self.epsilon: float = plain(epsilon, "epsilon")
        self.monitor = monitor
        self._last: float | None = None
        self._total: Tensor | float = 0.0
        self._n_batches = 0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin as the base class, if there is a loss to compare."""
        super().on_fit_start(trainer, pl_module)
        if self.monitor is not None and not trainer.enable_validation:
            raise ValueError(
                f"{type(self).__name__} compares monitor={self.monitor!r}, but there is no validation: set "
                "monitor=None to compare the training loss"
            )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare with the validation before."""
        is_training = trainer.state.fn is TrainerFn.FITTING and not trainer.sanity_checking
        if not is_training or self.monitor is None:
            return
        if self.monitor not in trainer.callback_metrics:
            raise ValueError(
                f"{type(self).__name__} compares monitor={self.monitor!r}, which is not logged: choose one of "
                f"{sorted(trainer.callback_metrics)}"
            )
        self._compare(trainer, float(trainer.callback_metrics[self.monitor]))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the loss of a step, and compare the mean with that of the epoch before after the last step."""
        if self.monitor is not None:
            return
        self._total = self._total + (outputs["loss"] if isinstance(outputs, dict) else outputs).detach()
        self._n_batches += 1
        if trainer.is_last_batch:  # before a checkpoint of the validation that follows
            self._compare(trainer, float(self._total) / self._n_batches)
            self._total, self._n_batches = 0.0, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the last loss and the sum of the epoch, and what the base class keeps."""
        own = {"last": self._last, "total": float(self._total), "n_batches": self._n_batches}
        return super().state_dict() | own

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of an interrupted training."""
        super().load_state_dict(state_dict)
        self._last, self._total = state_dict["last"], state_dict["total"]
        self._n_batches = state_dict["n_batches"]

    def _compare(self, trainer: Trainer, loss: float) -> None:
        last = self._last
        if not math.isfinite(loss):
            return
        self._last = loss
        grows = last is not None and last - loss < self.epsilon * abs(last)
        self.decide(trainer, [grows] * len(self.n_modes))
