"""Compiling a time step where a compiler is at hand."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, wraps
from typing import ParamSpec, TypeVar

import torch
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

P = ParamSpec("P")
R = TypeVar("R")

_logger = logging.getLogger(__name__)


def compiled(function: Callable[P, R], n_threads: int) -> Callable[P, R]:
    """Compiles a tensor function at its first call; without a working compiler it runs eagerly, many times slower.

    The reason is logged as a warning, once for each process.

    Args:
        function: What to compile, in one graph and for the shapes that it meets.
        n_threads: Threads of the compiled function on a CPU.
    """
    fast: Callable[P, R] = torch.compile(function, fullgraph=True, dynamic=False, options={"cpp.threads": n_threads})

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal fast
        try:
            return fast(*args, **kwargs)
        except (TorchDynamoException, FailOnRecompileLimitHit) as error:
            fast = function
            _warn_eager(str(error).strip().splitlines()[0])
            return function(*args, **kwargs)

    return call


@cache
def _warn_eager(reason: str) -> None:
    _logger.warning("torch.compile failed, so the simulation runs eagerly and many times slower: %s", reason)
