"""Pointwise quantiles of the absolute error of another model."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from fno_lightning.losses.base import FieldLoss, Reduction, require_floor


class PointwiseQuantile(FieldLoss):
    r"""Loss of a network that predicts, at each point, a bound which a share q of absolute errors stay below.

    .. math:: \frac{1}{2 q (1 - q)} \left\langle \frac{\max\big(q\, d,\ (q - 1)\, d\big)}{s} \right\rangle,
              \qquad d = |r| - E

    with E the prediction, r the target: residuals of a model whose weights are fixed, and s the largest \|r\| of the
    batch at the point; a batch of one sample is divided by its own. Minimal where E is the quantile (pinball loss). Of
    one field it is the ``PointwiseQuantileLoss`` of neuralop with ``alpha`` = 1 - q.

    Args:
        quantile: q, between 0 and 1.
        epsilon: Added to s, which may vanish.
        reduction: See :class:`~fno_lightning.losses.FieldLoss`.
        weights: Weight of each field, by its name, see :class:`~fno_lightning.losses.FieldLoss`.

    Raises:
        ValueError: if ``quantile`` is not between 0 and 1, or ``epsilon`` below 1e-9.

    Reference: Ma et al., TMLR 2024, arXiv:2402.01960, section 4.
    """

    def __init__(
        self,
        quantile: float = 0.9,
        epsilon: float = 1e-7,
        reduction: Reduction = "mean",
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(weights, reduction=reduction)
        if not 0 < quantile < 1:
            raise ValueError(f"a quantile is between 0 and 1, got {quantile}")
        self.quantile = quantile
        self.epsilon = require_floor("epsilon", epsilon)

    def errors(
        self, prediction: Float[Tensor, "batch time field *grid"], target: Float[Tensor, "batch time field *grid"]
    ) -> Float[Tensor, "batch time field"]:
        """Return the pinball losses."""
        error = target.abs().to(torch.promote_types(target.dtype, torch.float32))
        scale = error.amax(dim=0) + self.epsilon
        excess = error - prediction
        q = self.quantile
        pinball = torch.maximum(q * excess, (q - 1) * excess) / (2 * q * (1 - q) * scale)
        return pinball.flatten(3).mean(dim=3)
