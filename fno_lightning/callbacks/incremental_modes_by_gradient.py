"""More modes of an axis whose highest ones still receive much of the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from fno_lightning.arguments import plain
from fno_lightning.callbacks.incremental_modes import IncrementalModes, NewModes


class IncrementalModesByGradient(IncrementalModes):
    r"""Add modes of an axis whose highest wave numbers still receive much of the gradient.

    With the strength :math:`S_k` of wave number k along an axis, the squared norm of the gradients of the spectral
    weights there, summed over the layers and over sampled steps of an epoch, the axis gains modes when its explained
    ratio is below a threshold:

    .. math:: \sum_{k < K - b} S_k \, \Big/ \, \sum_{k < K} S_k < t

    with K the wave numbers in use and b the ``buffer``. The gradients are those that the optimizer has seen, reduced
    over the processes. Those of a low-rank weight are of the factor of the axis (see
    :meth:`~fno_lightning.layers.SpectralConv.gradient_strength`), which counts a wave number by what the ranks make of
    it, so that other thresholds may suit.

    Args:
        start: Modes of each axis at the beginning, see :class:`IncrementalModes`.
        step: Modes that an axis gains at a time.
        threshold: t, from 0 to 1; the larger, the sooner there are more modes.
        buffer: b, the highest wave numbers that are left out of the sum.
        every_n_steps: Distance of the sampled optimizer steps, the first of an epoch included; with
            ``steps_per_execution`` that of executions, whose last step counts.
        new_modes: Weights of added modes, ``zero`` or ``initial``, see :class:`IncrementalModes`.

    Raises:
        ValueError: as :class:`IncrementalModes`, or if ``threshold``, ``buffer`` or ``every_n_steps`` is out of
            range; during the training, if no spectral weight has a gradient.

    Attributes:
        explained_ratios: Ratio of each axis in the last epoch, 1 where there is no gradient.

    Reference: George et al. 2024, TMLR, arXiv:2211.15188.
    """

    def __init__(
        self,
        start: int | Sequence[int],
        step: int = 2,
        *,
        threshold: float = 0.999,
        buffer: int = 1,
        every_n_steps: int = 10,
        new_modes: NewModes = "zero",
    ) -> None:
        super().__init__(start, step, new_modes=new_modes)
        self.threshold: float = plain(threshold, "threshold")
        self.buffer: int = plain(buffer, "buffer")
        self.every_n_steps: int = plain(every_n_steps, "every_n_steps")
        if not 0 <= self.threshold <= 1 or self.buffer < 1 or self.every_n_steps < 1:
            raise ValueError(
                "threshold is from 0 to 1, buffer and every_n_steps at least 1, got "
                f"threshold={threshold}, buffer={buffer} and every_n_steps={every_n_steps}"
            )
        self.explained_ratios: list[float] = []
        self._strengths: list[Tensor] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the strengths of a sampled step; after the last step of an epoch compare the ratios."""
        per_step = trainer.accumulate_grad_batches
        has_stepped = (batch_idx + 1) % per_step == 0 or trainer.is_last_batch
        if has_stepped and batch_idx // per_step % self.every_n_steps == 0:
            new = [self._strength(axis) for axis in range(len(self.n_modes))]
            old = self._strengths or [torch.zeros_like(strength) for strength in new]
            self._strengths = [total.to(strength) + strength for total, strength in zip(old, new, strict=True)]
        if trainer.is_last_batch:  # before a checkpoint of the validation that follows
            self.explained_ratios = [self._ratio(strength) for strength in self._strengths]
            self._strengths = []
            self.decide(trainer, [ratio < self.threshold for ratio in self.explained_ratios])

    def _ratio(self, strength: Tensor) -> float:
        total = float(strength.sum())
        return float(strength[: -self.buffer].sum()) / total if total > 0 else 1.0

    def state_dict(self) -> dict[str, Any]:
        """Return the sums, and what the base class keeps."""
        return super().state_dict() | {"strengths": [strength.tolist() for strength in self._strengths]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of an interrupted training."""
        super().load_state_dict(state_dict)
        self._strengths = [torch.tensor(strength) for strength in state_dict["strengths"]]

    def _strength(self, axis: int) -> Tensor:
        found = [s for s in (layer.gradient_strength(axis) for layer in self.layers) if s is not None]
        if not found:
            raise ValueError(
                f"{type(self).__name__} reads the gradients of the spectral weights, but none has one: train them, or "
                "use IncrementalModesByLoss"
            )
        total = found[0].new_zeros(max(map(len, found)))
        for strength in found:
            total[: len(strength)] += strength
        return total
