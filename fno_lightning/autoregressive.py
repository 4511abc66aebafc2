"""Autoregressive forecasts: a map applied to its own output."""

from collections.abc import Callable
from contextlib import nullcontext

import torch
from jaxtyping import Float
from torch import Tensor


def rollout(
    step: Callable[[Tensor], Tensor],
    history: Float[Tensor, "batch T_in field *grid"],
    n_steps: int,
    *,
    n_without_gradient: int = 0,
) -> Float[Tensor, "batch T_out field *grid"]:
    r"""Predict the ``n_steps`` frames that follow a history.

    .. math:: u^{k+1}, \dots, u^{k+b} = G(u^{k-n+1}, \dots, u^k)

    with :math:`b = 1`, or a bundle of several frames at once (temporal bundling: Brandstetter et al. 2022,
    arXiv:2202.03376, section 3.2). The first frame returned is the one right after the last frame of the history; of a
    last bundle that reaches further than ``n_steps``, the rest is left out. Differentiable.

    Args:
        step: Maps the latest frames ``(batch, T_in, field, *grid)``, oldest first, to the next one
            ``(batch, field, *grid)`` or to the next few ``(batch, b, field, *grid)``.
        history: The frames to start from. A steady problem has none (``T_in = 0``) and one step.
        n_steps: Number of frames to predict.
        n_without_gradient: Number of first applications of ``step`` that no gradient is computed for.

    Returns:
        The predicted frames, ``(batch, n_steps, field, *grid)``.

    Raises:
        ValueError: if ``n_steps`` is not positive, or more than 1 for a steady problem.

    Fibonacci's numbers are a rollout over two frames, one by one or two at once:

    >>> history = torch.ones(1, 2, 1, 1)
    >>> rollout(lambda frames: frames[:, 0] + frames[:, 1], history, n_steps=6).flatten()
    tensor([ 2.,  3.,  5.,  8., 13., 21.])
    >>> two = torch.tensor([[1.0, 1.0], [1.0, 2.0]])
    >>> rollout(lambda frames: torch.einsum("ij,bj...->bi...", two, frames), history, n_steps=5).flatten()
    tensor([ 2.,  3.,  5.,  8., 13.])
    """
    n_frames = history.shape[1]
    if n_steps < 1:
        raise ValueError(f"a rollout predicts at least one frame, got n_steps={n_steps}")
    if n_frames == 0 and n_steps > 1:
        raise ValueError(f"a history without frames is a steady problem, which has n_steps=1, got n_steps={n_steps}")
    prediction = history.new_empty(len(history), n_steps, *history.shape[2:])
    first = 0
    while first < n_steps:
        with torch.no_grad() if n_without_gradient > 0 else nullcontext():
            output = step(history)
        n_without_gradient -= 1
        frames = output if output.ndim == history.ndim else output.unsqueeze(1)
        last = min(first + frames.shape[1], n_steps)
        prediction[:, first:last] = frames[:, : last - first]
        first = last
        if n_frames and first < n_steps:
            history = torch.cat((history, frames), dim=1)[:, -n_frames:]
    return prediction
