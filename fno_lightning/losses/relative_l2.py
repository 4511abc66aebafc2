"""Relative error in the L2 norm."""

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.losses.base import Loss


class RelativeL2(Loss):
    r"""Error in the L2 norm over the grid, relative to the target's, mean over samples, time and fields.

    .. math:: \left\langle \frac{\lVert p - t \rVert_2}{\lVert t \rVert_2 + \varepsilon} \right\rangle

    Every sample and field weighs the same, however large its values are. Norms are accumulated in float32 or better.

    Args:
        epsilon: ε; keeps the loss finite where the target vanishes.

    Reference: Li et al. 2021, arXiv:2010.08895, section 5.
    """

    def __init__(self, epsilon: float = 1e-8) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, ""]:
        """Return the mean relative error."""
        error, size = _norm(prediction - target), _norm(target)
        return (error / (size + self.epsilon)).mean()


def _norm(fields: Tensor) -> Tensor:
    """Norm over the grid; its sum of squares would overflow in float16."""
    dtype = torch.promote_types(fields.dtype, torch.float32)
    norm: Tensor = torch.linalg.vector_norm(fields, dim=tuple(range(3, fields.ndim)), dtype=dtype)
    return norm
