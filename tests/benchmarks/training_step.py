"""One training step as a contestant."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fno_lightning.modules.checkpointing import checkpoint_activations
from tests.benchmarks.checks import parameter_count, require_close, require_equal_counts, require_falling
from tests.benchmarks.harness import seconds


class TrainingStep:
    """Forward, mean squared error and backward, timed; Adam moves the weights between the timed parts.

    Args:
        network: The network, on the device of the data.
        x: Input.
        y: Target.
        bf16: Whether forward runs under bfloat16 autocast.
        compile: Whether to compile the network.
        recompute: Whether our network evaluates its blocks again in the backward pass.
    """

    def __init__(
        self,
        network: nn.Module,
        x: Tensor,
        y: Tensor,
        *,
        bf16: bool = False,
        compile: bool = False,  # noqa: A002
        recompute: bool = False,
    ) -> None:
        self.network = network
        self.x, self.y, self.bf16 = x, y, bf16
        self.n_parameters = parameter_count(network)
        self.losses: list[float] = []
        self.optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        if recompute:
            checkpoint_activations(network, "full")
        if compile:
            network.compile()

    def gradients(self) -> Tensor:
        """Compute the gradients; return the loss."""
        with torch.autocast(self.x.device.type, torch.bfloat16, enabled=self.bf16):
            prediction = self.network(self.x)
        loss = F.mse_loss(prediction.float(), self.y)
        loss.backward()
        return loss.detach()

    def full_step(self) -> Tensor:
        """Take a step with the optimizer; return the loss."""
        loss = self.gradients()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss

    def measure(self) -> float:
        """Return the seconds of the gradients."""
        result: list[Tensor] = []
        elapsed = seconds(lambda: result.append(self.gradients()), self.x.device)
        self.losses.append(result[0].item())
        self.optimizer.step()
        self.optimizer.zero_grad()
        return elapsed


def learnable_data(
    batch: int, in_channels: int, out_channels: int, grid: tuple[int, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return random inputs, and targets that a network learns in a few steps."""
    x = torch.randn(batch, in_channels, *grid, device=device)
    return x, x[:, :out_channels].tanh() + 1


def check_steps(steps: Mapping[str, TrainingStep], *, same_weights: bool = True) -> list[str]:
    """Check that all sides have equally many parameters and losses that fall and, from equal weights, are equal.

    Returns:
        Remarks for the table.

    Raises:
        DifferentResultError: if a check fails.
    """
    notes = [require_equal_counts({name: step.n_parameters for name, step in steps.items()})]
    for step in steps.values():
        while len(step.losses) < 3:
            step.measure()
    require_falling({name: step.losses for name, step in steps.items()})
    if same_weights:
        exact = {name: step.losses[0] for name, step in steps.items() if not step.bf16}
        require_close(exact, 1e-4, "the first loss in float32")
        require_close({name: step.losses[0] for name, step in steps.items()}, 2e-2, "the first loss")
        notes.append("equal weights at first, first losses within 1e-4 (2e-2 in bf16)")
    return notes
