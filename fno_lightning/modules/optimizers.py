"""The default optimizer, and a learning-rate schedule over the length of a training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


def default_optimizer(parameters: Sequence[nn.Parameter], precision: str) -> torch.optim.AdamW:
    """AdamW with learning rate 1e-3 and weight decay 1e-4, fused where that works.

    The fused one is several times as fast for many small parameters. There is none for complex parameters, and
    Lightning refuses to clip the gradients of one in mixed precision.

    Args:
        parameters: Parameters to train.
        precision: The trainer's, e.g. ``bf16-mixed``.
    """
    can_be_fused = all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters)
    is_fused = can_be_fused and not precision.endswith("-mixed")
    return torch.optim.AdamW(parameters, lr=1e-3, weight_decay=1e-4, fused=is_fused)


def set_learning_rate(optimizer: Optimizer, rate: float | None) -> None:
    """Give every parameter group of an optimizer, of which no schedule is made yet, this learning rate, if any."""
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] if rate is None else rate


class WarmupCosine(LRScheduler):
    r"""Linear warm-up, then a cosine down to a fraction of the learning rate, updated every optimizer step.

    .. math::
        \eta(s) = \eta_0 \begin{cases} (s + 1) / (s_w + 1) & s < s_w \\
        f + (1 - f)\,\tfrac12\bigl(1 + \cos \pi \tfrac{s - s_w}{S - s_w}\bigr) & s \ge s_w \end{cases}

    with warm-up steps :math:`s_w`, total steps :math:`S` and final fraction :math:`f` (Loshchilov and Hutter 2017,
    arXiv:1608.03983, eq. 5, without restarts).

    Args:
        optimizer: The optimizer to schedule.
        warmup: Fraction of the training spent warming up, in [0, 1).
        final: Learning rate at the end, as a fraction of the initial one.
        total_steps: Number of optimizer steps; ``None``: as many as the Trainer will take. Not a part of the state: a
            training that is resumed to last longer has a longer schedule.

    Raises:
        ValueError: if ``warmup`` or ``final`` is out of range.
    """

    def __init__(
        self, optimizer: Optimizer, warmup: float = 0.05, final: float = 0.01, total_steps: int | None = None
    ) -> None:
        if not 0 <= warmup < 1:
            raise ValueError(f"warmup is a fraction of the training in [0, 1), got {warmup}")
        if not 0 <= final <= 1:
            raise ValueError(f"final is a fraction of the learning rate in [0, 1], got {final}")
        self.warmup = warmup
        self.final = final
        self.total_steps = total_steps
        super().__init__(optimizer)

    def set_total_steps(self, total_steps: int) -> None:
        """Set the length of the schedule, in steps, the current one included."""
        self.total_steps = total_steps
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = rate
        self._last_lr = self.get_lr()

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed training continues from."""
        return {name: value for name, value in super().state_dict().items() if name != "total_steps"}

    def fraction(self, step: int) -> float:
        """Learning rate at a step, as a fraction of the initial one."""
        total = self.total_steps or 1
        n_warmup = round(self.warmup * total)
        if step < n_warmup:
            return (step + 1) / (n_warmup + 1)
        progress = min(1.0, (step - n_warmup) / max(1, total - n_warmup))
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))

    def get_lr(self) -> list[float | Tensor]:
        """Learning rate of each parameter group at the current step."""
        return [base * self.fraction(self.last_epoch) for base in self.base_lrs]
