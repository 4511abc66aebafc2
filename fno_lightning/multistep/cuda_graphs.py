"""Capture of work for a CUDA device, to replay it at the cost of a single launch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch
from torch.optim import Optimizer


class GraphCapture(Protocol):
    """Capture of the work of a function on fixed memory, for replay."""

    def prepare(self, optimizer: Optimizer) -> None:
        """Make the steps of an optimizer capturable."""

    def warm_up(self) -> AbstractContextManager[None]:
        """Return a context that does work as usual, where it will be captured."""

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        """Return a function that replays the work of another; may call that one, but does none of its work yet."""


class CudaGraphs:
    """Capture of CUDA graphs, on a stream of its own.

    Args:
        device: The device that does the work.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def prepare(self, optimizer: Optimizer) -> None:
        """Let the optimizer count its steps on the device."""
        make_capturable(optimizer)

    @contextmanager
    def warm_up(self) -> Iterator[None]:
        """Do work on the stream of the capture, so that what libraries do only once is not captured."""
        current = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            yield
        current.wait_stream(self.stream)

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        """Capture a graph and return the function that launches it.

        Raises:
            RuntimeError: if ``function`` waits for the device, or does something else that a graph cannot hold.
        """
        graph = torch.cuda.CUDAGraph()
        # In the default mode calls from other threads, such as the loader's that pins memory, would break the capture.
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            function()
        replay: Callable[[], None] = graph.replay
        return replay


def make_capturable(optimizer: Optimizer) -> None:
    """Let an optimizer with the option ``capturable`` count its steps on the device, from where it stands."""
    # PyTorch would warn, once, of steps that are not captured; those of the warm-up and of short launches are not.
    optimizer._warned_capturable_if_run_uncaptured = True
    for group in optimizer.param_groups:
        group["capturable"] = True
        for parameter in group["params"]:
            state: dict[str, Any] = optimizer.state.get(parameter, {})
            if isinstance(state.get("step"), torch.Tensor):
                state["step"] = state["step"].to(device=parameter.device, dtype=torch.float32)
