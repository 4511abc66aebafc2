"""Seeds of trajectories."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def trajectory_seeds(seed: int, numbers: Iterable[int]) -> list[int]:
    """Returns seeds below 2^32 for numbered trajectories; different numbers below 2^32 have different seeds.

    More bits are lost on generators such as the Mersenne Twister; multiplication by an odd number maps those integers
    one to one onto themselves.

    Args:
        seed: Seed of the data set.
        numbers: Numbers of the trajectories.
    """
    offset = int(np.random.SeedSequence(seed).generate_state(1)[0])
    return [(offset + 2654435761 * number) % 2**32 for number in numbers]
