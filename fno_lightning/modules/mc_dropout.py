"""Monte-Carlo dropout: members of a forecast by dropout that stays on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from fno_lightning.modules.checkpointing import dropout_probability

_SEED = 0
"""Of the masks: a forecast of the same inputs is the same each time."""


def require_dropout(network: nn.Module) -> None:
    """Check that a network has dropout.

    Raises:
        ValueError: if it has none.
    """
    if not any(dropout_probability(module) > 0 for module in network.modules()):
        raise ValueError(
            "mc_dropout draws forecasts by dropout, but the network has none: give it some (channel_mlp_dropout of "
            "FNOModule, torch.nn.Dropout in a network of your own), or leave mc_dropout out"
        )


@contextmanager
def same_dropout(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Apply a network in evaluation with dropout on, with the same masks each time: those of one draw of its weights.

    A mask that is drawn anew at every step of a rollout would be noise, which averages out along the rollout; one that
    stays is a network of its own, as in Gal and Ghahramani 2016, arXiv:1512.05287. Each sample of a batch has masks of
    its own, so that a forecast depends, within its spread, on its place in the batch.

    Args:
        network: The network; its dropout is turned off again.
        device: Device of its inputs.
    """
    turned_on = [part for part in network.modules() if not part.training and dropout_probability(part) > 0]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(_SEED)
        for part in turned_on:
            part.training = True
        try:
            yield
        finally:
            for part in turned_on:
                part.training = False
