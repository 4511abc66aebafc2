"""Weights of losses that make their gradients equally large."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fno_lightning.losses.balanced_sum import BalancedSum, mean_over_processes, require_fraction, require_positive
from fno_lightning.losses.base import Loss


class InverseGradientNorm(BalancedSum):
    r"""Sum of losses whose gradients, after the weights, are equally large; factors say how large beside each other.

    .. math:: \lambda_i(t) = \alpha \, \lambda_i(t - 1) + (1 - \alpha) \, \hat\lambda_i(t), \qquad
              \hat\lambda_i(t) = \frac{\tfrac1n \sum_j \lVert \nabla_W \mathrm{loss}_j \rVert}
              {\lVert \nabla_W \mathrm{loss}_i \rVert}

    over the n terms that take part, in each optimizer step, from :math:`\lambda_i(0) = \hat\lambda_i(0)`. W are shared
    weights of the network: its last matrix of weights, as in GradNorm, or a part that is named. The inverse norm needs
    no second optimizer with a learning rate and a restoring force of its own, which GradNorm trains the weights by, and
    no second derivatives, which bfloat16, activation checkpointing and compilers handle badly.

    Each term costs a backward pass as far as W, which is short for the last layer; a compiled network has only whole
    ones. Gradients are means over the processes of a distributed training, as those of the optimizer are.

    Args:
        losses: The losses, in a list or by name.
        factors: Factor of each, see :class:`~fno_lightning.losses.BalancedSum`.
        alpha: α; the nearer to 1, the longer are former weights remembered.
        largest: Largest weight, of a loss that has next to no gradient.
        part: Name of the part of the network with the weights W, e.g. ``projection``; ``None``: its last matrix.

    Raises:
        ValueError: if ``alpha`` is not between 0 and 1, or ``largest`` not positive; see
            :class:`~fno_lightning.losses.BalancedSum`; when training starts, if the network has no such ``part``.

    Reference: Wang et al. 2021, arXiv:2001.04536, algorithm 1, with means of norms as in Wang et al. 2023,
        arXiv:2308.08468, section 4; Chen et al. 2018, arXiv:1711.02257.
    """

    def __init__(
        self,
        losses: Sequence[Loss] | Mapping[str, Loss],
        factors: Sequence[float] | Mapping[str, float] | None = None,
        alpha: float = 0.9,
        largest: float = 1000.0,
        part: str | None = None,
    ) -> None:
        require_fraction(alpha=alpha)
        require_positive(largest=largest)
        super().__init__(losses, factors)
        self.alpha = alpha
        self.largest = largest
        self.part = part
        self._shared: list[nn.Parameter] = []

    def watch(self, network: nn.Module) -> None:
        """Choose the weights W of a network; a module does it when training starts.

        Raises:
            ValueError: if the network has no trained weights of this name.
        """
        trained = [(f"{name}.", weight) for name, weight in network.named_parameters() if weight.requires_grad]
        if self.part is None:
            self._shared = [weight for _, weight in trained if weight.ndim > 1][-1:] or [w for _, w in trained][-1:]
        else:
            self._shared = [weight for name, weight in trained if name.startswith(f"{self.part}.")]
        if not self._shared:
            known = [name for name, _ in network.named_children()]
            raise ValueError(f"part: the network has no part {self.part!r} with weights to train, it has {known}")

    def initial_state(self, n_terms: int) -> dict[str, Tensor]:
        """Return equal weights."""
        return {"weights": torch.ones(n_terms)}

    def measure(self, terms: Sequence[Float[Tensor, ""]]) -> Float[Tensor, " term"]:
        """Return the norms of the gradients of the terms.

        Raises:
            ValueError: before :meth:`watch`.
        """
        if not self._shared:
            raise ValueError("the balance of gradients needs the weights of a network: call watch(network) first")
        with torch.autocast(terms[0].device.type, enabled=False):
            gradients = torch.stack([self._gradient(term) for term in terms])
        norms: Tensor = torch.linalg.vector_norm(mean_over_processes(gradients), dim=1)
        return norms

    def next_state(self, measured: Float[Tensor, " term"], takes_part: Bool[Tensor, " term"]) -> dict[str, Tensor]:
        """Return the weights that make these norms equal."""
        norms = torch.where(takes_part, measured, 0)
        mean = norms.sum() / takes_part.sum()
        now = (mean / norms.clamp(min=torch.finfo(norms.dtype).tiny)).clamp(max=self.largest)
        now = torch.where(takes_part & (mean > 0), now, self.weights)
        followed = self.alpha * self.weights + (1 - self.alpha) * now
        return {"weights": torch.where(self.n_updates == 0, now, followed)}

    def _gradient(self, term: Tensor) -> Tensor:
        """Return the gradient of a term with respect to the shared weights, as one vector."""
        dtype = self.weights.dtype
        if not term.requires_grad:
            return torch.zeros(sum(weight.numel() for weight in self._shared), dtype=dtype, device=term.device)
        gradients = torch.autograd.grad(term, self._shared, retain_graph=True, materialize_grads=True)
        return torch.cat([gradient.flatten().to(dtype) for gradient in gradients])
