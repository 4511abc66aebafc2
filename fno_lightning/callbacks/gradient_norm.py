"""Norms of the gradients."""

from __future__ import annotations

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import grad_norm
from torch.optim import Optimizer


class GradientNorm(Callback):
    """Log ``train/gradient_norm``, that of all gradients together, before they are clipped.

    With ``by_part`` also ``train/gradient_norm/<part>`` of each part of the network, such as ``lifting``. Like the loss
    it is logged every ``log_every_n_steps``. With ``steps_per_execution`` Lightning takes each of the steps, because
    the norms are computed within one.

    Args:
        norm_type: The p of the p-norm; ``inf`` is the largest gradient.
        by_part: Whether to log the norms of the parts, too.

    Raises:
        ValueError: if ``norm_type`` is not positive.
    """

    def __init__(self, norm_type: float = 2.0, by_part: bool = False) -> None:
        if not norm_type > 0:
            raise ValueError(f"norm_type of gradients must be positive, got {norm_type}")
        self.norm_type = float(norm_type)
        self.by_part = by_part

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Compute and log the norms, where the step is to be logged."""
        if not trainer._logger_connector.should_update_logs and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        norms = grad_norm(pl_module, self.norm_type)
        if not norms:  # nothing has a gradient
            return
        total = norms.pop(f"grad_{self.norm_type}_norm_total")
        pl_module.log("train/gradient_norm", total)
        if self.by_part:
            of_parts: dict[str, list[float]] = {}
            for name, norm in norms.items():
                part = name.removeprefix(f"grad_{self.norm_type}_norm/").removeprefix("network.").partition(".")[0]
                of_parts.setdefault(part, []).append(norm)
            for part, parts in of_parts.items():
                norm = torch.linalg.vector_norm(torch.tensor(parts), self.norm_type)
                pl_module.log(f"train/gradient_norm/{part}", norm)
