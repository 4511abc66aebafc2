"""Two processes that have seen different numbers of batches agree on what one process finds."""

import pytest
import torch
import torch.distributed as dist

from fno_lightning.metrics import STANDARD_METRICS
from tests.two_processes import results_of

SHARES = {"uneven": ((0, 3), (3, 4)), "one process has nothing": ((0, 4), (4, 4))}


def samples():
    generator = torch.Generator().manual_seed(2)
    prediction, target = torch.randn(2, 4, 2, 3, 12, generator=generator, dtype=torch.float64)
    prediction[3, 1, 0] = torch.nan
    return prediction, target


def lengths():
    return (2, 1, 2, 2)


def updated(metric, first, last):
    prediction, target = samples()
    for i in range(first, last):
        n_steps = lengths()[i]
        metric.update(prediction[i : i + 1, :n_steps], target[i : i + 1, :n_steps])
    return metric


def work(rank, port, shares):
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    found = {}
    for share, ranges in shares.items():
        for name, factory in STANDARD_METRICS.items():
            metric = updated(factory(1), *ranges[rank])
            found[share, name] = metric.compute().tolist()
    dist.destroy_process_group()
    return found


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
def test_processes_agree_with_a_single_one():
    results = results_of(work, SHARES)
    for name, factory in STANDARD_METRICS.items():
        expected = updated(factory(1), 0, 4).compute()
        for rank in range(2):
            for share in SHARES:
                torch.testing.assert_close(torch.tensor(results[rank][share, name], dtype=torch.float64), expected)
