"""Autoregressive forecasts: the one-step map applied to its own output."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def rollout(
    step: Callable[[Tensor], Tensor], history: Float[Tensor, "batch T_in field *grid"], n_steps: int
) -> Float[Tensor, "batch T_out field *grid"]:
    r"""Predict the ``n_steps`` frames that follow a history.

    .. math:: u^{k+1} = G(u^{k-n+1}, \dots, u^k)

    The first frame returned is the one right after the last frame of the history. Differentiable.

    Args:
        step: Maps the latest frames ``(batch, T_in, field, *grid)``, oldest first, to the next one
            ``(batch, field, *grid)``.
        history: The frames to start from. A steady problem has none (``T_in = 0``) and one step.
        n_steps: Number of frames to predict.

    Returns:
        The predicted frames, ``(batch, n_steps, field, *grid)``.

    Raises:
        ValueError: if ``n_steps`` is not positive, or more than 1 for a steady problem.

    Fibonacci's numbers are a rollout over two frames:

    >>> history = torch.ones(1, 2, 1, 1)
    >>> rollout(lambda frames: frames[:, 0] + frames[:, 1], history, n_steps=6).flatten()
    tensor([ 2.,  3.,  5.,  8., 13., 21.])
    """
    n_frames = history.shape[1]
    if n_steps < 1:
        raise ValueError(f"a rollout predicts at least one frame, got n_steps={n_steps}")
    if n_frames == 0 and n_steps > 1:
        raise ValueError(f"a history without frames is a steady problem, which has n_steps=1, got n_steps={n_steps}")
    prediction = history.new_empty(len(history), n_steps, *history.shape[2:])
    for k in range(n_steps):
        frame = step(history)
        prediction[:, k] = frame
        if n_frames and k + 1 < n_steps:
            history = torch.cat((history[:, 1:], frame[:, None]), dim=1)
    return prediction
