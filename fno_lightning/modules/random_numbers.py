"""State of the random numbers of a training."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import distributed

from fno_lightning.data.loading import process_count, process_rank

_SEED = "PL_GLOBAL_SEED"


def random_states() -> dict[str, Any]:
    """Return the :func:`random_state` of the first process, with those of all under ``processes`` if there are several.

    All processes have to call it, as they do where Lightning saves a checkpoint.
    """
    own, n_processes = random_state(), process_count()
    if n_processes == 1:
        return own
    states: list[Any] = [None] * n_processes
    distributed.all_gather_object(states, own)
    return {**states[0], "processes": states}


def random_state() -> dict[str, Any]:
    """Return the state of all generators of this process in plain values and tensors, and the seed of the training."""
    version, words, gauss = random.getstate()
    numpy: Any = np.random.get_state(legacy=False)  # noqa: NPY002
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": [version, torch.tensor(words), gauss],
        "numpy": numpy | {"state": numpy["state"] | {"key": torch.from_numpy(numpy["state"]["key"].astype(np.int64))}},
        "seed": os.environ.get(_SEED),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Put the generators into the state that :func:`random_states` returned; of other devices they keep theirs.

    As many processes as there were take up each its own, another number of them that of the first.
    """
    states = state.get("processes", [])
    if len(states) == process_count():
        state = states[process_rank()]
    torch.set_rng_state(state["torch"].cpu())
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    numpy = state["numpy"]
    key = numpy["state"]["key"].cpu().numpy().astype(np.uint32)
    np.random.set_state(numpy | {"state": numpy["state"] | {"key": key}})  # noqa: NPY002
    if len(state.get("cuda", [])) == torch.cuda.device_count() > 0:
        torch.cuda.set_rng_state_all([one.cpu() for one in state["cuda"]])


def restore_seed(state: Mapping[str, Any]) -> None:
    """Take over the seed of the training that is resumed, which the order of the samples and other draws follow."""
    seed = state.get("seed")
    if seed is not None and os.environ.get(_SEED) != seed:
        rank_zero_info(f"the training goes on with the seed that it began with, {seed}")
        os.environ[_SEED] = seed
