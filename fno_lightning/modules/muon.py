"""Muon for matrices, AdamW for everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Muon, Optimizer


class MuonAdamW(Optimizer):
    """Optimizer that steps matrices by torch's Muon, and all other parameters by torch's AdamW, at one learning rate.

    Muon replaces the momentum of a matrix by the nearest orthogonal one, scaled here to the size of AdamW's steps
    (``match_rms_adamw``), so that a learning rate, a weight decay and a schedule made for AdamW do for both. The
    matrices of a Fourier neural operator are those of its pointwise layers; its spectral weights, which are most of the
    parameters, have more axes and stay with AdamW, as do biases.

    Args:
        params: Parameters to train.
        lr: Learning rate of both.
        weight_decay: Decoupled weight decay of both.
        momentum: Momentum of Muon.
        ns_steps: Newton-Schulz iterations of Muon.
        betas: Of AdamW.
        eps: Of AdamW.

    Raises:
        ValueError: if there are no matrices.

    Reference: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; Liu et al. 2025, arXiv:2502.16982.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 1e-3,
        weight_decay: float = 1e-4,
        momentum: float = 0.95,
        ns_steps: int = 5,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        given = list(params)
        matrices = [weight for weight in given if weight.ndim == 2 and not weight.is_complex()]
        others = [weight for weight in given if weight.ndim != 2 or weight.is_complex()]
        if not matrices:
            raise ValueError("MuonAdamW needs matrices, but the parameters have none: use torch.optim.AdamW")
        muon = Muon(
            matrices,
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            ns_steps=ns_steps,
            adjust_lr_fn="match_rms_adamw",
        )
        first, second = betas
        self._parts: list[Optimizer] = [muon]
        if others:
            self._parts.append(AdamW(others, lr=lr, weight_decay=weight_decay, betas=(first, second), eps=eps))
        super().__init__([group for part in self._parts for group in part.param_groups], {})
        self._share()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step, and return the loss if there is a closure."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts:
            part.step()
        return loss

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_parts": self._parts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._share()

    def _share(self) -> None:
        """Let the parts have the groups and the state that this optimizer saves and loads."""
        for part, group in zip(self._parts, self.param_groups, strict=True):
            part.param_groups = [group]
            part.state = self.state
