"""SOAP of heavyball, with arguments that a configuration can hold: among the defaults of its own are plain objects."""

from __future__ import annotations

from collections.abc import Iterable

import heavyball
from torch import nn


class SOAP(heavyball.SOAP):
    """SOAP (Vyas et al. 2024, arXiv:2409.11321): Adam in the eigenbasis of Shampoo's preconditioner.

    Args:
        params: Parameters to train.
        lr: Learning rate.
        weight_decay: Decoupled weight decay.
        precondition_frequency: Steps between two updates of the basis.
        max_precond_dim: Longest axis that has a basis.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 3e-3,
        weight_decay: float = 1e-4,
        precondition_frequency: int = 10,
        max_precond_dim: int = 2048,
    ) -> None:
        heavyball.utils.compile_mode = None  # it would try out kernels for every shape of a weight, minutes on a CPU
        super().__init__(
            params,
            lr=lr,
            weight_decay=weight_decay,
            precondition_frequency=precondition_frequency,
            max_precond_dim=max_precond_dim,
        )
